"""Preference pairs, and what was left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from invdpo.schemas.errors import DataError
from invdpo.schemas.ids import content_id
from invdpo.schemas.layouts.rows import UNREADABLE
from invdpo.train.data.buckets import Size

NAMED_ROWS = 5
"""Rows with unreadable images that a message names."""


@dataclass(frozen=True)
class Pair:
    """One preference; its images are named by the hash of their bytes."""

    pair_id: str
    prompt: str
    chosen: str
    rejected: str
    row: str
    """File and row, for messages."""
    sizes: tuple[Size, Size] = ((0, 0), (0, 0))
    """(width, height) of chosen and rejected in pixels, as they are shown."""
    bucket: Size = (0, 0)
    """What both are fitted to."""

    @property
    def images(self) -> tuple[str, str]:
        """Ids of the chosen and the rejected image."""
        return self.chosen, self.rejected

    @property
    def pictures(self) -> tuple[str, str]:
        """Ids of both images as they are fitted to the bucket."""
        return content_id(self.chosen, self.bucket), content_id(self.rejected, self.bucket)


@dataclass
class Pairs:
    """The usable pairs of a split, and what was left out."""

    pairs: list[Pair] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason -> number of rows."""
    examples: dict[str, str] = field(default_factory=dict)
    """Reason -> the first such row."""
    unreadable: list[str] = field(default_factory=list)
    """Rows with an image that can't be read."""

    def skip(self, reason: str, row: str) -> None:
        """Count a row that can't be used."""
        self.skipped[reason] += 1
        self.examples.setdefault(reason, row)

    def skip_unreadable(self, row: str, limit: int | None = None) -> None:
        """Count a row with an image that can't be read. Raises `DataError` beyond the limit."""
        self.skip(UNREADABLE, row)
        self.unreadable.append(row)
        if limit is not None and len(self.unreadable) > limit:
            named, more = self.unreadable[:NAMED_ROWS], len(self.unreadable) > NAMED_ROWS
            raise DataError(
                f"Pictures that can't be read: in {len(self.unreadable)} rows, at most {limit} "
                f"allowed (max_unreadable): {', '.join(named)}{', …' if more else ''}. Make these "
                "pictures again, take the rows out, or allow more."
            )
