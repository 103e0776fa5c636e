"""Reading `metrics.jsonl`: one line per step, and perhaps the torn line of a disk that was full."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from invdpo.schemas.errors import DataError
from invdpo.schemas.io.documents import read_json

MOST = 10**15
"""No step or metric is an integer beyond; some are too large to calculate with."""
Row = dict[str, Any]
"""`step` and the metrics of that step, by name."""


def read_rows(path: Path) -> list[Row]:
    """The rows of the file; lines that are none are left out."""
    return [row for row in map(_row, path.read_bytes().splitlines()) if row]


def _row(line: bytes) -> Row | None:
    try:
        row = read_json(line, "metrics", dict)
    except DataError:
        return None
    is_sound = isinstance(row.get("step"), int) and all(map(_is_number, row.values()))
    return row if is_sound else None


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < MOST)
