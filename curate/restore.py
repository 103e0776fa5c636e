"""Puts the pictures of a data set back into the candidates that it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from invdpo.schemas.tables import SIDES

HELD = 4
"""Row groups in memory: sets are written in the order of candidates, each split in its own."""


class _Spot(NamedTuple):
    """Where a picture is."""

    path: Path
    group: int
    row: int
    side: str


class Pictures:
    """The pictures in the shards of a data set, by the candidate that each is of."""

    def __init__(self, shards: Sequence[Path], pairs: pa.Table) -> None:
        """`pairs` has `pair_id`, `chosen_id` and `rejected_id`."""
        rows: list[dict[str, Any]] = pairs.to_pylist()
        ids = {row["pair_id"]: [row[f"{side}_id"] for side in SIDES] for row in rows}
        self._spots: dict[str, _Spot] = {}
        for path in shards:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    found = file.read_row_group(group, ["pair_id"])["pair_id"].to_pylist()
                    for row, pair in enumerate(found):
                        for side, name in zip(SIDES, ids.get(pair, ()), strict=False):
                            self._spots.setdefault(name, _Spot(path, group, row, side))
        self._read = lru_cache(HELD)(_group)

    def fill(self, candidates: pa.Table) -> pa.Table:
        """The same rows, with a picture wherever one was missing and is here."""
        field = candidates.schema.field("image")
        images = [
            image if image is not None else self._picture(name)
            for name, image in zip(
                candidates["candidate_id"].to_pylist(), candidates["image"].to_pylist(), strict=True
            )
        ]
        place = candidates.column_names.index("image")
        return candidates.set_column(place, field, pa.array(images, field.type))

    def _picture(self, candidate: str) -> Any:
        spot = self._spots.get(candidate)
        if spot is None:
            return None
        return self._read(spot.path, spot.group)[spot.side][spot.row].as_py()


def _group(path: Path, group: int) -> pa.Table:
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        return file.read_row_group(group, list(SIDES))
