"""What no text for people may hold: keys inside addresses, and tokens of the Hub."""

from __future__ import annotations

import re
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
