"""The only place that prints: results to stdout, notes and errors to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from invdpo.schemas.io.redact import without_secrets

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
        shown = _json(data) if self.as_json else text
        try:
            print(shown, flush=True)
        except OSError as error:
            raise StreamError(error.errno, error.strerror) from None

    def note(self, text: str) -> None:
        """Something useful to know that is not the result: work goes on when nobody can read it."""
        with suppress(OSError):
            print(without_secrets(text), file=sys.stderr, flush=True)

    def error(self, text: str, kind: str) -> None:
        """Why the command failed, and what to do."""
        text = without_secrets(text)
        if self.as_json:
            with suppress(OSError):
                print(_json({"error": {"kind": kind, "text": text}}), flush=True)
        with suppress(OSError):
            print(f"Error: {text}", file=sys.stderr, flush=True)


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
