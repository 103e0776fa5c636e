"""Escapes texts of users for Markdown, code blocks, Python and BibTeX."""

from __future__ import annotations

import json
import re

MARKUP = re.compile(r"([\\`*_\[\]<>|#])")
BRACES = re.compile(r"([{}\\%&$#_~^])")


def plain(value: object) -> str:
    """One line of text without any markup in it."""
    return MARKUP.sub(r"\\\1", " ".join(str(value).split()))


def code(value: object) -> str:
    """One line as code, fenced by more backticks than it holds; bars escaped for tables."""
    text = " ".join(str(value).split()).replace("|", "\\|").replace("<!--", "<! --")
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}" if text else "–"


def cell(value: object) -> str:
    """A table's cell: numbers with three decimals, nothing as a dash, the rest as plain text."""
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else plain(value)


def fenced(text: str, language: str) -> str:
    """Lines of code, between fences of more backticks than they hold."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.strip()}\n{fence}\n"


def literal(value: object) -> str:
    """A Python string literal, on one line."""
    return json.dumps(str(value), ensure_ascii=False)


def join_list(value: object) -> object:
    """The items of a list as one text; anything else as it is."""
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def bibtex(value: object) -> str:
    """One line of text for between BibTeX's braces."""
    return BRACES.sub("", " ".join(str(value).split()))


def bibtex_key(value: object) -> str:
    """A key that BibTeX accepts."""
    return re.sub(r"[^a-z0-9]+", "-", str(value).lower()).strip("-") or "pairs"
