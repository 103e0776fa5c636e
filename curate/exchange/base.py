"""What an export is, the registry of exports, and what an export or import came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from invdpo.curate.exchange.ours import SourceDataset
from invdpo.schemas.io.text import count_noun
from invdpo.schemas.plugins import Registry


@dataclass
class ExchangeResult:
    """The pairs that came over, and the rows that did not."""

    folder: Path
    pairs: Counter[str] = field(default_factory=Counter)
    """Split -> pairs."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason -> rows."""
    first: dict[str, str] = field(default_factory=dict)
    """Reason -> the first such row."""

    def skip(self, reason: str, where: str) -> None:
        """Count a row that is no pair."""
        self.skipped[reason] += 1
        self.first.setdefault(reason, where)

    def with_skipped(self, other: ExchangeResult) -> ExchangeResult:
        """With the rows that were left out before."""
        return replace(
            self, skipped=self.skipped + other.skipped, first={**self.first, **other.first}
        )

    def messages(self) -> list[str]:
        """Each reason for leaving out rows, with their number and the first of them."""
        return [
            f"{count_noun(count, 'row')} left out: {reason} (first: {self.first[reason]})"
            for reason, count in self.skipped.most_common()
        ]

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return {
            "folder": str(self.folder),
            "pairs": dict(self.pairs),
            "skipped": dict(self.skipped.most_common()),
            "first": dict(self.first),
        }


Export = Callable[[SourceDataset, Path], None]
"""Writes a dataset into an empty folder."""

EXPORTS: Registry[Export] = Registry("export layout")
