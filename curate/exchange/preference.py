"""The preference layout of TRL: `prompt`, `chosen`, `rejected`, here with images."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from invdpo.curate.exchange.base import EXPORTS
from invdpo.curate.exchange.ours import SourceDataset, write_tables
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
def export(source: SourceDataset, folder: Path) -> None:
    """Prompt, both images, and our `pair_id` beside."""
    tables = ((split, table.select(SCHEMA.names)) for split, table in source.tables())
    write_tables(tables, SCHEMA, folder)
