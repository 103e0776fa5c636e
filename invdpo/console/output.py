"""The only place that prints: results to stdout, notes and errors to stderr."""

from __future__ import annotations

import inspect
import json
import logging
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from invdpo.schemas.io.logs import log_to_file, settings
from invdpo.schemas.io.redact import without_secrets
from invdpo.schemas.io.text import printable

LONGEST, MOST_LINES = 4_000, 300
"""Characters of a line, and lines, of a note or an error; the rest of it is left out."""
MOVES = re.compile(r"(\r|\x1b\[A)")
"""To the beginning of the line, and to the line above."""

UTF_8 = ("utf-8", "utf8", "utf-8-sig")
"""Encodings for all of JSON; in others it is written with escapes."""


class StreamError(OSError):
    """Stdout takes no more: its reader has gone, or the disk behind it is full."""


@dataclass(frozen=True)
class Output:
    """Where a command prints; `as_json` makes the result one JSON document."""

    as_json: bool = False

    def result(self, data: Mapping[str, Any], text: str) -> None:
        """The result: `data` for programs, `text` for people.

        Raises `StreamError` when stdout takes no more.
        """
        result = printable(_json(data) if self.as_json else text)
        log_to_file(result, _caller())
        try:
            print(result, flush=True)
        except OSError as error:
            raise StreamError(error.errno, error.strerror) from None

    def note(self, text: str) -> None:
        """Something useful to know that is not the result; not shown when quiet."""
        log_to_file(text, _caller())
        if not settings.quiet:
            stamp = f"{time.strftime('%H:%M:%S')} {_caller()}: " if settings.verbose else ""
            print_note(f"{stamp}{text}")

    def notice(self, text: str) -> None:
        """What a person has to read, or the work can't be used or resumed."""
        log_to_file(text, _caller())
        print_note(text)

    def follow(self, logger: str) -> None:
        """Show what this logger of ours says of the work, too, until the command ends."""
        settings.shown.add(logger)

    def error(self, text: str, kind: str) -> None:
        """Why the command failed, and what to do."""
        log_to_file(f"{kind}: {text}", _caller(), logging.ERROR)
        text = _shown(text)
        if self.as_json:
            with suppress(OSError):
                print(printable(_json({"error": {"kind": kind, "text": text}})), flush=True)
        with suppress(OSError):
            print(f"Error: {text}", file=sys.stderr, flush=True)


def print_note(text: str) -> None:
    """Text on stderr; work continues when nobody can read it."""
    with suppress(OSError):
        print(_shown(text), file=sys.stderr, flush=True)


def _caller() -> str:
    """The module that calls a method of `Output`."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = frame and frame.f_back
    return str(frame.f_globals["__name__"]) if frame else "invdpo"


def _shown(text: str) -> str:
    """What people read: without secrets and commands to the terminal, and never without end."""
    lines = without_secrets(text).split("\n")
    left = [f"… and {len(lines) - MOST_LINES:,} more lines"] if len(lines) > MOST_LINES else []
    short = [line if len(line) <= LONGEST else f"{line[:LONGEST]}…" for line in lines[:MOST_LINES]]
    return printable("\n".join([*short, *left]))


class PlainStream:
    """A stream that nothing gets through by which text could command a terminal.

    The net under `Output`, for warnings, tracebacks and libraries. Bars move by what it lets pass.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text, each command to the terminal as its number."""
        pieces = (part if MOVES.fullmatch(part) else printable(part) for part in MOVES.split(text))
        return int(self._stream.write("".join(pieces)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard_terminal() -> None:
    """Put the net under everything that this process prints."""
    sys.stdout, sys.stderr = PlainStream(sys.stdout), PlainStream(sys.stderr)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Aligned columns, numbers to the right, two spaces between; no trailing spaces."""
    cells = [tuple(header), *(tuple(_cell(value) for value in row) for row in rows)]
    columns = list(zip(*cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [all(map(_numeric, column[1:])) for column in columns]
    lines = (
        "  ".join(
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    )
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else "–" if value is None else str(value)


def _numeric(cell: str) -> bool:
    return cell == "–" or cell.replace(",", "").lstrip("-").replace(".", "", 1)[:1].isdigit()


def _json(data: Mapping[str, Any]) -> str:
    plain = str(getattr(sys.stdout, "encoding", "")).lower().replace("_", "-") not in UTF_8
    # NaN is no JSON: better to fail here than in the program that reads it
    return json.dumps(data, indent=2, ensure_ascii=plain, allow_nan=False, default=str)
