"""The pairs of a dataset in the order in which a person sees them, read one by one."""

from __future__ import annotations

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
from invdpo.schemas.io.documents import read_json
from invdpo.schemas.tables import SIDES, Record

Order = Literal["random", "doubtful", "set"]
"""By a hash of the id, so that figures are unbiased; least margin first; as in the dataset."""
CACHED = 16
"""Pairs in memory, with their images."""
BATCH = 4
"""Rows of a row group that are in memory at a time, on the way to the wanted one."""
COLUMNS = ("pair_id", "margin", "chosen_id", "rejected_id")


class PairEntry(NamedTuple):
    """Where a pair is stored, and what its place in the order depends on."""

    pair_id: str
    location: RowLocation
    margin: float
    flipped_id: str | None
    """The id of the flipped pair; None when the dataset has no candidate ids."""


class ReviewPairs:
    """All pairs of a dataset. Raises `DataError` for a folder without pairs that can be shown."""

    def __init__(self, folder: Path, order: str, first: Sequence[str] = ()) -> None:
        """`order` is one of `Order`; when it is `doubtful`, the ids of `first` come first."""
        if order not in get_args(Order):
            allowed = ", ".join(get_args(Order))
            raise ConfigError(f"--order: found {order!r}; allowed: {allowed}.")
        dataset = DatasetFolder(folder)
        self.scorers = _scorers(dataset.schema())
        self.entries = _ordered(_entries(dataset), order, first)
        self._read = lru_cache(CACHED)(_row)

    def __len__(self) -> int:
        return len(self.entries)

    def record(self, number: int) -> Record:
        """The row of one pair, images included."""
        entry = self.entries[number]
        return self._read(entry.location)

    def picture(self, number: int, side: str) -> bytes:
        """The bytes of one image, as they are in the dataset."""
        return bytes((self.record(number)[side] or {}).get("bytes") or b"")

    def chosen_left(self, number: int) -> bool:
        """Whether the chosen image is on the left: by a hash, so that nobody can guess it."""
        return int(content_id("side", self.entries[number].pair_id)[:8], 16) % 2 == 0

    def scores(self, row: Mapping[str, Any]) -> list[tuple[str, dict[str, float | None]]]:
        """Scorer, and its raw scores by side."""
        return [
            (name, {side: number_or_none(row.get(f"{side}_{name}")) for side in SIDES})
            for name in self.scorers
        ]


def _entries(dataset: DatasetFolder) -> list[PairEntry]:
    return [
        PairEntry(row["pair_id"], location, float(row.get("margin") or 0.0), _flipped_id(row))
        for location, row in dataset.rows(COLUMNS, required=("pair_id", "prompt", *SIDES))
    ]


def _flipped_id(row: Record) -> str | None:
    """The id that the pairing gives the same two images with their sides swapped."""
    sides = [row.get(f"{side}_id") for side in reversed(SIDES)]
    return content_id("pair", *sides) if all(sides) else None


def _ordered(entries: list[PairEntry], order: str, first: Sequence[str]) -> list[PairEntry]:
    if order == "set":
        return entries
    if order == "random":
        return sorted(entries, key=lambda entry: content_id("review", entry.pair_id))
    rank = {pair_id: n for n, pair_id in enumerate(dict.fromkeys(first))}
    return sorted(entries, key=lambda e: (rank.get(e.pair_id, len(rank)), e.margin, e.pair_id))


def _scorers(schema: pa.Schema) -> list[str]:
    """The scorers with columns in the dataset; without components where it names its scorers."""
    prefix = "chosen_"
    scores = [
        n for n in schema.names if n.startswith(prefix) and schema.field(n).type == pa.float64()
    ]
    chosen = [name.removeprefix(prefix) for name in scores]
    both = [name for name in chosen if f"rejected_{name}" in schema.names]
    notes = read_json((schema.metadata or {}).get(NOTES, b"{}"), "the dataset's notes", dict)
    known = notes.get("scorers") or {}
    return [name for name in both if not known or name in known]


def _row(location: RowLocation) -> Record:
    """One row of a row group; rows after it are not read."""
    with open_shard(location.path, buffer_size=1 << 20) as file:
        batches = file.iter_batches(BATCH, row_groups=[location.group])
        batch = next(islice(batches, location.row // BATCH, None))
        record: Record = batch.slice(location.row % BATCH, 1).to_pylist()[0]
        return record


def number_or_none(value: float | None) -> float | None:
    """The number; None for NaN and infinity."""
    return value if value is not None and math.isfinite(value) else None
