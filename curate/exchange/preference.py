"""The preference layout of TRL: `prompt`, `chosen`, `rejected`, here with pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from invdpo.curate.exchange.base import EXPORTS, IMPORTS, Found
from invdpo.curate.exchange.foreign import picture, records
from invdpo.curate.exchange.ours import OurSet, write_tables
from invdpo.schemas.tables import IMAGE

SCHEMA = pa.schema(
    [
        ("prompt", pa.string()),
        ("chosen", IMAGE),
        ("rejected", IMAGE),
        ("pair_id", pa.string()),
    ]
)


@EXPORTS.register("preference")
def export(ours: OurSet, folder: Path) -> None:
    """Prompt, both pictures, and our `pair_id` beside."""
    write_tables(
        ((split, table.select(SCHEMA.names)) for split, table in ours.tables()), SCHEMA, folder
    )


@IMPORTS.register("preference")
def read(source: Path) -> Iterator[Found]:
    """Pictures as `{bytes, path}`, as bytes, or as paths inside the folder."""
    home = source if source.is_dir() else source.parent
    for split, where, row in records(source, ("prompt", "chosen", "rejected"), ("pair_id",)):
        chosen, rejected = (picture(row[side], home, where) for side in ("chosen", "rejected"))
        yield Found(split, where, row["prompt"], chosen, rejected, row.get("pair_id"))
