"""The table of decisions: every one is on disk, whole, before the page is told that it counts."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from filelock import FileLock

from invdpo.curate.pairing.reviews import check_reviews
from invdpo.curate.review.pairs import Entry
from invdpo.curate.storage.parts import read_part, remove_stale, write_part
from invdpo.schemas.tables import DECISIONS, REVIEWS, Record

TURNED = {"keep": "flip", "flip": "keep", "drop": "drop"}
"""What a decision on a pair means for the same pair turned."""


class Decisions:
    """Decisions of everybody in one file; several servers may add to it.

    Raises `DataError` or `WorkspaceError` for a file that holds something else.
    """

    def __init__(self, path: Path, reviewer: str | None) -> None:
        self.path, self._reviewer = path, reviewer
        self._inside = threading.RLock()
        self._file = FileLock(path.with_name(f".{path.name}.lock"), timeout=30)
        self._mine: list[Record] = []
        remove_stale(path.parent)
        self._load()

    def add(self, pair_id: str, decision: str, note: str | None) -> None:
        """Append a row and write the table. Raises `ValueError` for an unknown decision."""
        if decision not in DECISIONS:
            raise ValueError(f"unknown decision {decision!r}")
        row = {
            "pair_id": pair_id,
            "decision": decision,
            "reviewer": self._reviewer,
            "note": note or None,
            "reviewed_at": datetime.now(UTC).replace(microsecond=0),
        }
        with self._inside, self._file:
            self._save([*self._load(), row])
            self._mine.append(row)

    def undo(self) -> Record | None:
        """Take back the last decision of this run; it, or None when there is none."""
        with self._inside, self._file:
            if not self._mine:
                return None
            row, rows = self._mine[-1], self._load()
            places = [n for n, found in enumerate(rows) if found == row]
            self._save([found for n, found in enumerate(rows) if n not in places[-1:]])
            return self._mine.pop()

    def of(self, entry: Entry) -> str | None:
        """The last decision on a pair, or on the same pair turned; None without one."""
        with self._inside:
            own, twin = self._last.get(entry.pair_id), self._last.get(entry.twin or "")
        if twin is not None and (own is None or twin[0] > own[0]):
            return TURNED[twin[1]]
        return own[1] if own is not None else None

    def counts(self, entries: list[Entry]) -> dict[str, int]:
        """How many of these pairs are kept, flipped and dropped."""
        found = Counter(self.of(entry) for entry in entries)
        return {decision: found[decision] for decision in DECISIONS}

    def _load(self) -> list[Record]:
        rows: list[Record] = []
        if self.path.exists():
            table = read_part(self.path)
            check_reviews(table)
            rows = [{name: row.get(name) for name in REVIEWS.names} for row in table.to_pylist()]
        self._remember(rows)
        return rows

    def _save(self, rows: list[Record]) -> None:
        write_part(self.path, pa.Table.from_pylist(rows, REVIEWS), {})
        self._remember(rows)

    def _remember(self, rows: list[Record]) -> None:
        self._last: dict[str, tuple[int, str]] = {
            row["pair_id"]: (place, row["decision"]) for place, row in enumerate(rows)
        }
