"""Preference pairs, and what was left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from invdpo.schemas.errors import DataError
from invdpo.schemas.ids import content_id
from invdpo.schemas.layouts.rows import UNREADABLE
from invdpo.train.data.buckets import Size

SIDES = ("chosen", "rejected")
NAMED = 5
"""Rows with unreadable pictures that a message names."""


@dataclass(frozen=True)
class Pair:
    """One preference; its pictures stand for themselves by the hash of their bytes."""

    pair_id: str
    prompt: str
    chosen: str
    rejected: str
    row: str
    """Where it came from, for messages: file and row."""
    sizes: tuple[Size, Size] = ((0, 0), (0, 0))
    """(width, height) of chosen and rejected in pixels, as they are shown."""
    bucket: Size = (0, 0)
    """What both are fitted to."""

    @property
    def images(self) -> tuple[str, str]:
        """Winner's and loser's image id."""
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
    """Reason to count."""
    examples: dict[str, str] = field(default_factory=dict)
    """Reason to the first row it struck."""
    unreadable: list[str] = field(default_factory=list)
    """Rows with a picture that can't be read."""

    def skip(self, reason: str, row: str) -> None:
        """Count a row that can't be used."""
        self.skipped[reason] += 1
        self.examples.setdefault(reason, row)

    def skip_unreadable(self, row: str, limit: int | None = None) -> None:
        """Count a row with a picture that can't be read. Raises `DataError` beyond the limit."""
        self.skip(UNREADABLE, row)
        self.unreadable.append(row)
        if limit is not None and len(self.unreadable) > limit:
            first, more = self.unreadable[:NAMED], len(self.unreadable) > NAMED
            raise DataError(
                f"Pictures that can't be read: in {len(self.unreadable)} rows, at most {limit} "
                f"allowed (max_unreadable): {', '.join(first)}{', …' if more else ''}. Make these "
                "pictures again, take the rows out, or allow more."
            )
