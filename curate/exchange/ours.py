"""A data set of ours as exports read it, and the Parquet files that exports write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from invdpo.curate.dataset.folder import SPLITS, DatasetFolder
from invdpo.curate.dataset.reencode import reencode_images
from invdpo.curate.dataset.write import write_splits
from invdpo.curate.storage.columns import hub_metadata
from invdpo.schemas import DataError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.layouts.parquet import iter_batches, read_schema
from invdpo.schemas.tables import IMAGE

SplitTables = Iterator[tuple[str, pa.Table]]
"""A split and some of its rows, again and again."""

BATCH_ROWS = 32
"""Rows in memory; their images may have megabytes each."""
NEEDED = {"pair_id": pa.string(), "prompt": pa.string(), "chosen": IMAGE, "rejected": IMAGE}


@dataclass(frozen=True)
class SourceDataset:
    """A data set of ours, its images encoded anew if that is asked for."""

    folder: DatasetFolder
    config: DatasetConfig

    def tables(self) -> SplitTables:
        """All rows, validation last. Raises `DataError` for files that are damaged or of others."""
        for split, path in self._files():
            _check(path)
            for batch in iter_batches(path, batch_rows=BATCH_ROWS):
                yield split, reencode_images(pa.Table.from_batches([batch]), self.config)

    def prompt_counts(self) -> Counter[str]:
        """Prompt -> pairs."""
        counts = Counter[str]()
        for _, path in self._files():
            for batch in iter_batches(path, ["prompt"], BATCH_ROWS):
                counts.update(batch["prompt"].to_pylist())
        return counts

    def _files(self) -> list[tuple[str, Path]]:
        return [(split, path) for split in SPLITS for path in self.folder.shards(split)]


def _check(path: Path) -> None:
    schema = read_schema(path)
    wrong = [
        n for n, kind in NEEDED.items() if n not in schema.names or schema.field(n).type != kind
    ]
    if wrong:
        text = f"{path}: no data set of invdpo; {', '.join(wrong)} missing or of another type."
        raise DataError(f"{text} Bring it in first: invdpo curate import --from LAYOUT")


def write_tables(tables: SplitTables, schema: pa.Schema, folder: Path) -> None:
    """Write rows of a schema as `data/SPLIT-*.parquet`."""
    schema = schema.with_metadata(hub_metadata(schema))
    (folder / "data").mkdir()
    write_splits(folder / "data", ((split, table.cast(schema)) for split, table in tables), schema)


def text_column(table: pa.Table, name: str) -> pa.ChunkedArray | pa.Array:
    """A column of texts; nulls where an older data set lacks it."""
    if name in table.column_names:
        return table[name]
    return pa.nulls(len(table), pa.string())
