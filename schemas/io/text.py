"""Numbers, times and errors in words."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Mapping

from invdpo.schemas.io.redact import without_secrets

Counts = dict[str, float]
"""What was counted -> how much of it."""


LONGEST_LINE = 500
"""Characters of another library's words that an error repeats."""


def describe_error(error: BaseException) -> str:
    """One line, without secrets: the kind of error and the first line of its text."""
    first = next(iter(without_secrets(str(error)).strip().splitlines()), "")
    short = first if len(first) <= LONGEST_LINE else f"{first[:LONGEST_LINE]}…"
    return f"{type(error).__name__}: {short}" if short else type(error).__name__


UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
"""What commands a terminal, or turns its text round; not tab and newline."""


def printable(text: str) -> str:
    """The text with each character that a terminal would obey as its number."""
    return UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def whole_characters(text: str) -> str:
    """The text with `?` for each half of a character, which no file could take."""
    return text.encode(errors="replace").decode()


MAX_QUOTED = 80
"""Characters of a value that an error quotes."""
_short = reprlib.Repr()
_short.maxstring = _short.maxother = MAX_QUOTED
_short.maxlevel = 3


def quote(value: object) -> str:
    """A value as an error shows it: on one line, not too long, and made in no time."""
    try:
        text = _short.repr(value)
    except ValueError:  # a whole number of thousands of digits
        text = f"a {type(value).__name__} that can't be shown"
    return shorten(text)


def shorten(text: str) -> str:
    """A text as an error shows it: printable, and shortened where it is too long."""
    text = whole_characters(printable(text[: MAX_QUOTED + 1]))
    return text if len(text) <= MAX_QUOTED else f"{text[: MAX_QUOTED - 1]}…"


SINGULAR = re.compile(r"(?<=\w)s\b")
"""What a name has at the end of its first word that is of several."""


def count_noun(number: int, noun: str) -> str:
    """`1 row`, `1,250 rows`, `0 entries`."""
    many = f"{noun[:-1]}ie" if noun.endswith("y") else noun
    return f"{number:,} {noun if number == 1 else f'{many}s'}"


def format_bytes(size: float) -> str:
    """Bytes in decimal units: `12.3 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def format_seconds(seconds: float) -> str:
    """`1 h 05 min`, `3 min 20 s`, `12 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def add_counts(parts: Iterable[Mapping[str, float]]) -> Counts:
    """The counts of several parts, added up."""
    total: Counts = {}
    for counts in parts:
        for name, number in counts.items():
            total[name] = total.get(name, 0) + number
    return total


def format_counts(counts: Mapping[str, float]) -> str:
    """Counts on one line, without those that are zero: `3 questions, 1,250 tokens`."""
    shown = ((name, f"{number:,.4f}".rstrip("0").rstrip(".")) for name, number in counts.items())
    return ", ".join(
        f"{number} {SINGULAR.sub('', name, 1) if number == '1' else name}"
        for name, number in shown
        if number != "0"
    )
