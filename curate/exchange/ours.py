"""A dataset of ours as exports read it, and the Parquet files that exports write."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from invdpo.curate.dataset.card import card_licence
from invdpo.curate.dataset.folder import SPLITS, DatasetFolder
from invdpo.curate.dataset.reencode import reencode_images
from invdpo.curate.dataset.write import write_splits
from invdpo.curate.storage.columns import hub_metadata
from invdpo.schemas import DataError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.io.images import decode
from invdpo.schemas.io.parquet import iter_batches, read_schema
from invdpo.schemas.io.text import quote
from invdpo.schemas.tables import IMAGE, SIDES, Record, dataset_schema

log = logging.getLogger("invdpo.curate")

SplitTables = Iterator[tuple[str, pa.Table]]
"""A split and some of its rows, again and again."""

BATCH_ROWS = 32
"""Rows in memory; their images may have megabytes each."""
SPLIT = "(split)"
"""Column of the split that a row is in; no dataset has one of this name."""
KEEP = "the new one has `other`. Give --license to choose another."
NEEDED = {"pair_id": pa.string(), "prompt": pa.string(), "chosen": IMAGE, "rejected": IMAGE}


@dataclass(frozen=True)
class SourceDataset:
    """The pairs of a dataset of ours, their images re-encoded if that is asked for.

    Rows with an image that can't be read are left out.
    """

    folder: DatasetFolder
    config: DatasetConfig

    def tables(self) -> SplitTables:
        """All rows, validation last. Raises `DataError` for files that are damaged or of others."""
        for split, table in self._tables():
            yield split, reencode_images(table, self.config)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Some columns of the rows that `tables` gives, in its order, with `SPLIT` of each."""
        tables = [
            table.append_column(SPLIT, pa.array([split] * len(table), pa.string()))
            for split, table in self._tables(list(names))
        ]
        fields = [self.folder.schema().field(name) for name in names]
        empty = pa.schema([*fields, (SPLIT, pa.string())]).empty_table()
        return pa.concat_tables([empty, *tables]).combine_chunks()

    def prompt_counts(self) -> Counter[str]:
        """Prompt -> pairs."""
        counts = Counter[str]()
        for _, table in self._tables(["prompt"]):
            counts.update(table["prompt"].to_pylist())
        return counts

    @cached_property
    def unreadable(self) -> dict[tuple[str, Path], set[int]]:
        """Split and file -> rows with an image that can't be read; all images are decoded once."""
        found = {}
        with ThreadPoolExecutor() as pool:
            for split, path in self._files():
                _check(path)
                batches = iter_batches(path, SIDES, BATCH_ROWS)
                good = [ok for b in batches for ok in pool.map(_is_readable, b.to_pylist())]
                found[split, path] = {row for row, ok in enumerate(good) if not ok}
        return found

    def _tables(self, columns: Sequence[str] | None = None) -> SplitTables:
        for (split, path), left_out in self.unreadable.items():
            first = 0
            for batch in iter_batches(path, columns, BATCH_ROWS):
                kept = [row for row in range(len(batch)) if first + row not in left_out]
                first += len(batch)
                if kept:
                    table = pa.Table.from_batches([batch])
                    yield split, table if len(kept) == len(batch) else table.take(kept)

    def _files(self) -> list[tuple[str, Path]]:
        return [(split, path) for split in SPLITS for path in self.folder.shards(split)]


def _is_readable(row: Record) -> bool:
    try:
        for side in SIDES:
            decode((row[side] or {}).get("bytes"))
    except DataError:
        return False
    return True


def is_ours(folder: DatasetFolder) -> bool:
    """Whether all its files are splits of ours with all our columns."""
    wanted = {(field.name, field.type) for field in dataset_schema([])}
    splits = {path for split in SPLITS for path in folder.shards(split)}
    return bool(splits) and all(
        path in splits and wanted <= {(field.name, field.type) for field in read_schema(path)}
        for path in folder.shards()
    )


def _check(path: Path) -> None:
    schema = read_schema(path)
    wrong = [
        n for n, kind in NEEDED.items() if n not in schema.names or schema.field(n).type != kind
    ]
    if wrong:
        text = f"{path}: not a dataset of invdpo; {', '.join(wrong)} missing or of another type."
        raise DataError(f"{text} Import it first: invdpo curate import --from LAYOUT")


def with_licence(sources: Sequence[DatasetFolder], config: DatasetConfig) -> DatasetConfig:
    """The licence as given, else the one that the cards of all sources name."""
    if config.license:
        return config
    named = dict.fromkeys(map(_licence, sources))
    if len(named) > 1:
        shown = ", ".join(quote(name) if name else "none" for name in named)
        log.warning(f"The cards of these datasets name different licences ({shown}): {KEEP}")
        return config
    return config.model_copy(update={"license": next(iter(named))})


def _licence(source: DatasetFolder) -> str | None:
    try:
        return card_licence(source.read_card())
    except DataError as error:
        log.warning(f"{error} Its licence is not known: {KEEP}")
        return None


def write_tables(tables: SplitTables, schema: pa.Schema, folder: Path) -> None:
    """Write rows of a schema as `data/SPLIT-*.parquet`."""
    schema = schema.with_metadata(hub_metadata(schema))
    (folder / "data").mkdir()
    write_splits(folder / "data", ((split, table.cast(schema)) for split, table in tables), schema)


def text_column(table: pa.Table, name: str) -> pa.ChunkedArray | pa.Array:
    """A column of texts; nulls where an older dataset lacks it."""
    if name in table.column_names:
        return table[name]
    return pa.nulls(len(table), pa.string())
