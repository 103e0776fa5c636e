"""Exports that are Parquet files: shards like our own, which `datasets` opens as they are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from invdpo.curate.columns import hub_metadata
from invdpo.curate.dataset import write_splits
from invdpo.curate.exchange.ours import Tables


def write_tables(tables: Tables, schema: pa.Schema, folder: Path) -> None:
    """Write rows of a schema as `data/SPLIT-*.parquet`."""
    told = schema.with_metadata(hub_metadata(schema))
    (folder / "data").mkdir()
    write_splits(folder / "data", ((split, table.cast(told)) for split, table in tables), told)


def column(table: pa.Table, name: str) -> pa.ChunkedArray | pa.Array:
    """A column of texts; nulls where an older data set lacks it."""
    if name in table.column_names:
        return table[name]
    return pa.nulls(len(table), pa.string())
