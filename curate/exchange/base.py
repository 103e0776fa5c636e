"""What an export and an import are, and the registries that hold them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invdpo.curate.exchange.ours import OurSet
from invdpo.schemas.plugins import Registry


@dataclass(frozen=True)
class Found:
    """One row of somebody's: a pair, or the reason why it is none."""

    split: str
    where: str
    """For messages: file and row."""
    prompt: Any = None
    chosen: bytes | None = None
    rejected: bytes | None = None
    pair_id: str | None = None
    ids: tuple[str | None, str | None] = (None, None)
    """Of both pictures, where they have some."""
    models: tuple[str | None, str | None] = (None, None)
    flaw: str | None = None


@dataclass
class Exchanged:
    """What came over."""

    folder: Path
    pairs: Counter[str] = field(default_factory=Counter)
    """Split -> pairs."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason -> rows."""
    first: dict[str, str] = field(default_factory=dict)
    """Reason -> the first row that it struck."""

    def skip(self, reason: str, where: str) -> None:
        """Count a row that is no pair."""
        self.skipped[reason] += 1
        self.first.setdefault(reason, where)

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return {
            "folder": str(self.folder),
            "pairs": dict(self.pairs),
            "skipped": dict(self.skipped.most_common()),
            "first": dict(self.first),
        }


Export = Callable[[OurSet, Path], None]
"""Writes a data set into a folder that is there and empty."""
Import = Callable[[Path], Iterator[Found]]
"""The rows of a folder or file, in an order that depends on it alone; raises `DataError`."""

EXPORTS: Registry[Export] = Registry("export layout")
IMPORTS: Registry[Import] = Registry("import layout")
