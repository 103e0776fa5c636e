"""The pairs of a data set in the order in which a person sees them, read one at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import pyarrow as pa

from invdpo.curate.dataset.folder import DatasetFolder, RowLocation, open_shard
from invdpo.curate.storage.parts import NOTES
from invdpo.schemas import ConfigError
from invdpo.schemas.ids import content_id
from invdpo.schemas.tables import SIDES, Record

Order = Literal["random", "doubtful", "set"]
"""By a hash of the id, so that figures are unbiased; least margin first; as the set has them."""
HELD = 16
"""Pairs in memory, with their pictures."""
AT_A_TIME = 4
"""Rows read together on the way to one pair; of its row group no more are in memory."""
LIGHT = ("pair_id", "margin", "chosen_id", "rejected_id")


class Entry(NamedTuple):
    """Where a pair is, and what its order depends on."""

    pair_id: str
    location: RowLocation
    margin: float
    twin: str | None
    """The id of the same pair turned, when the set names its candidates."""


class ReviewPairs:
    """All pairs of a data set. Raises `DataError` for a folder without any that could be shown."""

    def __init__(self, folder: Path, order: str, first: Sequence[str] = ()) -> None:
        """`order` is one of `Order`; when it is `doubtful`, the ids of `first` come first."""
        if order not in get_args(Order):
            allowed = ", ".join(get_args(Order))
            raise ConfigError(f"--order: found {order!r}; allowed: {allowed}.")
        dataset = DatasetFolder(folder)
        self.scorers = _scorers(dataset.schema())
        self.entries = _ordered(_entries(dataset), order, first)
        self._read = lru_cache(HELD)(_row)

    def __len__(self) -> int:
        return len(self.entries)

    def record(self, number: int) -> Record:
        """The row of one pair, pictures included."""
        entry = self.entries[number]
        return self._read(entry.location)

    def picture(self, number: int, side: str) -> bytes:
        """The bytes of one picture, as they lie in the set."""
        return bytes((self.record(number)[side] or {}).get("bytes") or b"")

    def chosen_left(self, number: int) -> bool:
        """Whether the chosen picture stands on the left: by a hash, so that none can guess it."""
        return int(content_id("side", self.entries[number].pair_id)[:8], 16) % 2 == 0

    def scores(self, row: Mapping[str, Any]) -> list[tuple[str, dict[str, float | None]]]:
        """Scorer, and its raw scores by side."""
        return [
            (name, {side: number_or_none(row.get(f"{side}_{name}")) for side in SIDES})
            for name in self.scorers
        ]


def _entries(dataset: DatasetFolder) -> list[Entry]:
    return [
        Entry(row["pair_id"], location, float(row.get("margin") or 0.0), _twin(row))
        for location, row in dataset.rows(LIGHT, required=("pair_id", "prompt", *SIDES))
    ]


def _twin(row: Record) -> str | None:
    """The id that the pairing gives the same two pictures turned."""
    sides = [row.get(f"{side}_id") for side in reversed(SIDES)]
    return content_id("pair", *sides) if all(sides) else None


def _ordered(entries: list[Entry], order: str, first: Sequence[str]) -> list[Entry]:
    if order == "set":
        return entries
    if order == "random":
        return sorted(entries, key=lambda entry: content_id("review", entry.pair_id))
    place = {pair_id: n for n, pair_id in enumerate(dict.fromkeys(first))}
    return sorted(entries, key=lambda e: (place.get(e.pair_id, len(place)), e.margin, e.pair_id))


def _scorers(schema: pa.Schema) -> list[str]:
    """The scorers that the set has columns of; without their components where it tells which."""
    there = [
        n.removeprefix("chosen_") for n in schema.names if schema.field(n).type == pa.float64()
    ]
    both = [n for n in there if f"chosen_{n}" in schema.names and f"rejected_{n}" in schema.names]
    known = json.loads((schema.metadata or {}).get(NOTES, b"{}")).get("scorers", {})
    return [name for name in both if not known or name in known]


def _row(location: RowLocation) -> Record:
    """One row of a row group, read no further than to there."""
    with open_shard(location.path, buffer_size=1 << 20) as file:
        batches = file.iter_batches(AT_A_TIME, row_groups=[location.group])
        batch = next(islice(batches, location.row // AT_A_TIME, None))
        record: Record = batch.slice(location.row % AT_A_TIME, 1).to_pylist()[0]
        return record


def number_or_none(value: float | None) -> float | None:
    """The number, if it is one."""
    return value if value is not None and math.isfinite(value) else None
