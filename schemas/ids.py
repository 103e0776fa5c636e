"""Content hashes: the same content gives the same id on any machine."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from typing import Any

SAME = str.maketrans("\u2018\u2019\u02bc\u201c\u201d", "'''\"\"") | dict.fromkeys(
    range(0xFE00, 0xFE10)
)
"""Quotation marks -> a typewriter's; marks that choose how a character looks -> none."""


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no blanks, so that equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_id(*parts: Any) -> str:
    """32 hexadecimal digits over the canonical JSON of `parts`."""
    return text_id(canonical_json(list(parts)))


def text_id(text: str) -> str:
    """32 hexadecimal digits over a text."""
    return image_id(text.encode())


def fold(text: str) -> str:
    """The form in which texts are compared: as one sees them, without case and repeated blanks.

    Invisible characters, curly quotation marks, and wide or joined forms of letters make no other
    text. Ordinary text is only composed, so that keys of earlier tables hold.
    """
    if not text.isascii():
        text = "".join(c for c in text.translate(SAME) if unicodedata.category(c) != "Cf")
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", text).casefold())
    return " ".join(folded.split())


def prompt_key(prompt: str) -> str:
    """16 hexadecimal digits over the folded prompt."""
    return text_id(fold(prompt))[:16]


def image_id(content: bytes) -> str:
    """32 hexadecimal digits over an encoded image: the same bytes are the same image."""
    return hashlib.sha256(content).hexdigest()[:32]


def derived_seed(*parts: Any) -> int:
    """A seed in 0 .. 2**63 - 1 that depends on `parts` alone, for one candidate or one scene."""
    return int.from_bytes(hashlib.sha256(canonical_json(list(parts)).encode()).digest()[:8]) >> 1
