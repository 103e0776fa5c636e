"""What no text for people may hold: keys inside addresses, and tokens of the Hub.

MERGED: What may not leave this machine: tokens, and where things lie on its disk.
"""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit

ADDRESS = re.compile(r"(?P<scheme>\b[A-Za-z][\w+.-]*://)(?:[^\s/?#'\"<>]*@)?(?P<rest>[^\s'\"<>]*)")

TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{6,}")


def without_secrets(text: str) -> str:
    """The text, its addresses without user, password, query and fragment, tokens unreadable."""
    return TOKEN.sub("hf_…", ADDRESS.sub(lambda found: _bare(found), text))


def _bare(found: re.Match[str]) -> str:
    rest, mark, _ = found["rest"].partition("?")
    rest = rest if mark else rest.partition("#")[0]
    return f"{found['scheme']}{rest}{'?…' if mark else ''}"


def holds_secrets(url: str) -> bool:
    """Whether an address has a user, a password or a query, where keys stand."""
    parts = urlsplit(url)
    return "@" in parts.netloc or bool(parts.query)


SHORTEST = 8
"""Shorter ones are no tokens, and would be found in words."""

FOLDERS = re.compile(r"""(?<![\w.:/\\])(?:[A-Za-z]:)?[/\\](?:[^/\\\s"'`]+[/\\])+(?=[^/\\\s"'`])""")
"""The folders of an absolute path in a sentence, up to its last part."""

TOLD = {"training.json", "model_index.json", "config.json", "adapter_config.json"}
"""JSON in which trainers and libraries note where a model came from."""


def without_tokens(text: str) -> str:
    """The text with every token of the Hub made unreadable, the one in use first of all."""
    from huggingface_hub import get_token

    own = get_token() or ""
    if len(own) >= SHORTEST:
        text = text.replace(own, "hf_…")
    return TOKEN.sub("hf_…", text)


def redact_paths(text: str) -> str:
    """The text with absolute paths cut to their last part; relative ones stay."""
    path = PurePath(text)
    whole = path.is_absolute() and path.name and "\n" not in text and ": " not in text
    return path.name if whole else FOLDERS.sub("", text)


def redact(value: Any) -> Any:
    """JSON's types, with every text in them free of tokens and of folders of this machine."""
    if isinstance(value, str):
        return redact_paths(without_tokens(value))
    if isinstance(value, dict):
        return {redact(key): redact(inner) for key, inner in value.items()}
    return [redact(inner) for inner in value] if isinstance(value, list | tuple) else value


def to_publish(path: Path) -> bytes | None:
    """What to publish in place of a file that tells too much; none if it can go as it is."""
    if path.name not in TOLD:
        return None
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        return None
    told = redact(found)
    return None if told == found else (json.dumps(told, indent=1) + "\n").encode()
