"""The table of decisions: each one is on disk, complete, before the page hears that it counts."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from filelock import FileLock

from invdpo.curate.pairing.reviews import FLIPPED, check_reviews
from invdpo.curate.review.queue import PairEntry
from invdpo.curate.storage.parts import read_part, write_part
from invdpo.schemas.io.files import remove_abandoned
from invdpo.schemas.tables import DECISIONS, REVIEWS, Record


class Decisions:
    """The decisions of all reviewers in one file; several servers may add to it.

    Raises `DataError` or `WorkspaceError` for a file of another kind.
    """

    def __init__(self, path: Path, reviewer: str | None) -> None:
        self.path, self._reviewer = path, reviewer
        self._thread_lock = threading.RLock()
        self._file_lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=30)
        self._mine: list[Record] = []
        remove_abandoned(path.parent)  # a step may be writing there
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
        with self._thread_lock, self._file_lock:
            self._save([*self._load(), row])
            self._mine.append(row)

    def undo(self) -> Record | None:
        """Take back and return the last decision of this run; None when there is none."""
        with self._thread_lock, self._file_lock:
            if not self._mine:
                return None
            row, rows = self._mine[-1], self._load()
            indices = [n for n, kept in enumerate(rows) if kept == row]
            self._save([kept for n, kept in enumerate(rows) if n not in indices[-1:]])
            return self._mine.pop()

    def decision_on(self, entry: PairEntry) -> str | None:
        """The last decision on a pair or on its flipped pair; None without one."""
        with self._thread_lock:
            own, flipped = self._last.get(entry.pair_id), self._last.get(entry.flipped_id or "")
        if flipped is not None and (own is None or flipped[0] > own[0]):
            return FLIPPED.get(flipped[1], flipped[1])
        return own[1] if own is not None else None

    def counts(self, entries: list[PairEntry]) -> dict[str, int]:
        """How many of these pairs got which decision."""
        counts = Counter(self.decision_on(entry) for entry in entries)
        return {decision: counts[decision] for decision in DECISIONS}

    def _load(self) -> list[Record]:
        rows: list[Record] = []
        if self.path.exists():
            table = read_part(self.path)
            check_reviews(table)
            rows = [{name: row.get(name) for name in REVIEWS.names} for row in table.to_pylist()]
        self._index(rows)
        return rows

    def _save(self, rows: list[Record]) -> None:
        write_part(self.path, pa.Table.from_pylist(rows, REVIEWS), {})
        self._index(rows)

    def _index(self, rows: list[Record]) -> None:
        self._last: dict[str, tuple[int, str]] = {
            row["pair_id"]: (index, row["decision"]) for index, row in enumerate(rows)
        }
