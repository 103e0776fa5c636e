"""Rows dropped for the first reason that holds, and what each reason cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]


class DropReasons:
    """Notes for each of n rows the first reason to drop it."""

    def __init__(self, size: int) -> None:
        self._reasons: list[str] = []
        self._code = np.full(size, -1, dtype=np.int64)

    def drop(self, rows: Bools, reason: str) -> None:
        """Drop rows (n booleans) that are still kept."""
        self._code[rows & (self._code < 0)] = len(self._reasons)
        self._reasons.append(reason)

    @property
    def kept(self) -> Bools:
        """Rows without a reason, n booleans."""
        return self._code < 0

    def all_counts(self) -> dict[str, int]:
        """How many rows each reason dropped, in the order they were tried."""
        found = np.bincount(self._code[~self.kept], minlength=len(self._reasons))
        counts = dict.fromkeys(self._reasons, 0)
        for name, n in zip(self._reasons, found, strict=True):
            counts[name] += int(n)
        return counts

    def counts(self) -> dict[str, int]:
        """The same, zeros left out."""
        return {name: n for name, n in self.all_counts().items() if n}

    def reasons(self) -> NDArray[np.object_]:
        """Each row's reason, None where it is kept."""
        return np.array([*self._reasons, None], dtype=object)[self._code]
