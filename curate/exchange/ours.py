"""Data sets of ours as they are exchanged: their rows, some at a time.

MERGED: Exports that are Parquet files: shards like our own, which `datasets` opens as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from invdpo.curate.dataset.card import SPLITS
from invdpo.curate.dataset.reencode import reencoded
from invdpo.curate.dataset.write import write_splits
from invdpo.curate.storage.columns import hub_metadata
from invdpo.schemas import DataError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.tables import IMAGE

Tables = Iterator[tuple[str, pa.Table]]
"""Split and some rows."""


ROWS = 32
"""In memory; their pictures may have megabytes each."""

NEEDED = {"pair_id": pa.string(), "prompt": pa.string(), "chosen": IMAGE, "rejected": IMAGE}


def set_folder(where: Path) -> Path:
    """The data set itself, where its workspace may be named. Raises `DataError` for neither."""
    for folder in (where, where / "dataset"):
        if any((folder / "data").glob("*.parquet")):
            return folder
    raise DataError(f"{where}: no data set. Expected data/*.parquet there, or in dataset/.")


@dataclass(frozen=True)
class OurSet:
    """A data set of ours, its pictures encoded anew if that is asked for."""

    folder: Path
    settings: DatasetConfig

    def tables(self) -> Tables:
        """All rows, validation last. Raises `DataError` for files that are damaged or of others."""
        for split, path in self._files():
            for batch in _batches(path):
                yield split, reencoded(pa.Table.from_batches([batch]), self.settings)

    def prompts(self) -> Counter[str]:
        """Prompt -> pairs."""
        found = Counter[str]()
        for _, path in self._files():
            for batch in batches(path, ["prompt"]):
                found.update(batch["prompt"].to_pylist())
        return found

    def _files(self) -> list[tuple[str, Path]]:
        data = self.folder / "data"
        return [(s, path) for s in SPLITS for path in sorted(data.glob(f"{s}-*.parquet"))]


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with readable(path):
        _check(path, pq.read_schema(path))
    yield from batches(path)


def batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file, a few at a time. Raises `DataError` for a damaged one."""
    # buffering beforehand would keep the whole file in memory, however few rows are asked for
    with readable(path), pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
        yield from file.iter_batches(ROWS, columns=columns)


def _check(path: Path, schema: pa.Schema) -> None:
    wrong = [
        n for n, kind in NEEDED.items() if n not in schema.names or schema.field(n).type != kind
    ]
    if wrong:
        text = f"{path}: no data set of invdpo; {', '.join(wrong)} missing or of another type."
        raise DataError(f"{text} Bring it in first: invdpo curate import --from LAYOUT")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raises `DataError` for a file that can't be read."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        first = " ".join(str(error).split("\n")[0].split())
        raise DataError(f"{path}: not readable as Parquet ({first}). Make it again.") from None


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
