"""What may not be shown or published: keys in addresses, tokens, folders of this machine.

`without_secrets` is for texts that people read here; `redact` for all that leaves this machine.
"""

from __future__ import annotations

import re
import sys
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

ADDRESS = re.compile(
    r"(?P<scheme>\b(?:[A-Za-z][\w+.-]*://|https?:/))(?:[^\s/?#'\"<>]*@)?(?P<rest>[^\s'\"<>]*)"
)
"""One slash is what a path makes of two."""
LOGIN = re.compile(r"^[^\s/:@]+:[^\s/]+@")
"""`USER:PASSWORD@` at the beginning of an address without a scheme."""
TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{6,}")
"""A token of the Hub as it is made today; older ones have other forms."""
SHORTEST = 8
"""A shorter text is no token, and would be found in words."""
FOLDERS = re.compile(
    r"""(?:\bfile:/+|(?<![\w.:/\\])(?:[A-Za-z]:)?[/\\]\\?)"""
    r"""(?:(?:[^/\\\s"'`.:;,]+\ )*[^/\\\s"'`]+[/\\])+(?=[^/\\\s"'`])"""
)
"""The folders of an absolute path in a sentence, up to its last part; names may hold blanks."""


def without_secrets(text: str) -> str:
    """The text, its addresses without user, password, query and fragment, tokens unreadable."""
    own = _token_in_use()
    if len(own) >= SHORTEST:
        text = text.replace(own, "hf_…")
    return TOKEN.sub("hf_…", ADDRESS.sub(_bare_address, text))


def _token_in_use() -> str:
    """The Hub's token of this process; before its client is imported, nothing has read one."""
    client = sys.modules.get("huggingface_hub")
    return (client.get_token() or "") if client else ""


def _bare_address(match: re.Match[str]) -> str:
    rest, mark, _ = match["rest"].partition("?")
    rest = rest if mark else rest.partition("#")[0]
    return f"{match['scheme']}{rest}{'?…' if mark else ''}"


def is_address(name: str) -> bool:
    """Whether a name is an address, which holds a password perhaps, and no path or Hub id."""
    return bool(ADDRESS.match(name.strip()) or LOGIN.match(name.strip()))


def show_name(name: str) -> str:
    """A model's or LoRA's name as an error may show it, should it be an address."""
    bare = without_secrets(name.strip())
    return bare if ADDRESS.match(bare) else LOGIN.sub("", bare, count=1)


def holds_secrets(url: str) -> bool:
    """Whether an address has a user, a password or a query, which may hold keys."""
    parts = urlsplit(url)
    return "@" in parts.netloc or bool(parts.query)


def redact_paths(text: str) -> str:
    """The text with absolute paths shortened to their last part; relative ones stay."""
    path = PurePath(text)
    whole = path.is_absolute() and path.name and "\n" not in text and ": " not in text
    return path.name if whole else FOLDERS.sub("", text)


def redact(value: Any) -> Any:
    """JSON's types, every text in them without secrets and without folders of this machine."""
    if isinstance(value, str):
        return redact_paths(without_secrets(value))
    if isinstance(value, dict):
        return {redact(key): redact(inner) for key, inner in value.items()}
    return [redact(inner) for inner in value] if isinstance(value, list | tuple) else value
