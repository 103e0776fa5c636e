"""Numbers, times and errors in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from invdpo.schemas.io.redact import without_secrets

Counts = dict[str, float]
"""What was counted -> how much of it."""


def describe_error(error: BaseException) -> str:
    """One line, without secrets: the kind of error and the first line of its text."""
    lines = without_secrets(str(error)).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


MAX_QUOTED = 80
"""Characters of a value that an error quotes."""


def quote(value: object) -> str:
    """A value as an error shows it: on one line, not too long, and made in no time."""
    import reprlib

    short = reprlib.Repr()
    short.maxstring = short.maxother = MAX_QUOTED
    short.maxlevel = 3
    text = " ".join(short.repr(value).split())
    return text if len(text) <= MAX_QUOTED else f"{text[: MAX_QUOTED - 1]}…"


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
    return ", ".join(f"{number} {name}" for name, number in shown if number != "0")
