"""Why rows were dropped: for each row the first reason that holds, and how many rows each took."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]


class DropReasons:
    """The first reason to drop each of n rows."""

    def __init__(self, size: int) -> None:
        self._reasons: list[str] = []
        self._reason_index = np.full(size, -1, dtype=np.int64)

    def drop(self, rows: Bools, reason: str) -> None:
        """Drop those of these rows (n booleans) that no earlier reason dropped."""
        self._reason_index[rows & self.kept] = len(self._reasons)
        self._reasons.append(reason)

    @property
    def kept(self) -> Bools:
        """Rows without a reason, n booleans."""
        return self._reason_index < 0

    def counts(self) -> dict[str, int]:
        """How many rows each reason dropped, in the order they were tried; without zeros."""
        dropped = np.bincount(self._reason_index[~self.kept], minlength=len(self._reasons))
        counts = dict.fromkeys(self._reasons, 0)
        for reason, rows in zip(self._reasons, dropped.tolist(), strict=True):
            counts[reason] += rows
        return {reason: rows for reason, rows in counts.items() if rows}

    def reasons(self) -> NDArray[np.object_]:
        """The reason of each row, n; None where it is kept."""
        return np.array([*self._reasons, None], dtype=object)[self._reason_index]
