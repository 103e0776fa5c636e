"""Reading Parquet files a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from invdpo.schemas.errors import DataError
from invdpo.schemas.io.redact import without_secrets
from invdpo.schemas.io.text import format_bytes, shorten
from invdpo.schemas.io.text_files import POINTER, refuse_pointer

BATCH_ROWS = 8
"""Rows in memory; each of their images may have megabytes."""
BUFFER_BYTES = 1 << 20
"""Read ahead in a column."""
BATCH_BYTES = 1 << 28
"""What a batch may take in memory where few bytes can stand for many values."""
AS_STORED = {"PLAIN", "RLE", "BIT_PACKED"}
"""Encodings whose values take no more memory than in their page."""
MOST_UNPACKED, MOST_PACKED = 1 << 28, 100
"""Bytes of a column in a row group from which on it is looked at, and how often fewer are packed;
images hardly pack, and texts to a tenth."""
MOST_EQUAL = 1_000_000
"""Values that a column of fewer bytes may have: nearly all are equal, and each takes its time."""


def read_schema(path: Path) -> pa.Schema:
    """Names and types of the columns. Raises `DataError` for what is no Parquet."""
    with parquet_errors(path), pq.ParquetFile(path) as file:
        return file.schema_arrow


def iter_batches(
    path: Path, columns: Sequence[str] | None = None, batch_rows: int = BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """The rows of a file, a few at a time. Raises `DataError` for a damaged one."""
    # buffering beforehand would keep the whole file in memory, however few rows are asked for
    options = {"pre_buffer": False, "buffer_size": BUFFER_BYTES, "page_checksum_verification": True}
    with parquet_errors(path), pq.ParquetFile(path, **options) as file:
        yield from file_batches(file, path, columns, batch_rows)


def file_batches(
    file: pq.ParquetFile, path: Path, columns: Sequence[str] | None, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """The rows of an open file, as few at a time as fit `BATCH_BYTES`. Raises as `check_sizes`."""
    check_sizes(file.metadata, path, columns)
    for group in range(file.num_row_groups):
        # a value is no larger than its column, and all may be equal to the largest
        chunks = _chunks(file.metadata.row_group(group), columns)
        sizes = [c.total_uncompressed_size for c in chunks if not AS_STORED.issuperset(c.encodings)]
        rows = min(batch_rows, BATCH_BYTES // max(1, sum(sizes)))
        for batch in file.iter_batches(max(1, rows), row_groups=[group], columns=columns):
            batch.validate(full=True)
            yield batch


def check_sizes(
    metadata: pq.FileMetaData, path: Path, columns: Sequence[str] | None = None
) -> None:
    """Raise `DataError` for a file of few bytes that stands for more than memory or time allow."""
    packed = values = 0
    for number in range(metadata.num_row_groups):
        chunks = _chunks(metadata.row_group(number), columns)
        values += max((chunk.num_values for chunk in chunks), default=0)
        for chunk in chunks:
            size, small = chunk.total_uncompressed_size, chunk.total_compressed_size
            if size > max(MOST_UNPACKED, MOST_PACKED * small):
                found = f"{format_bytes(size)} are packed into {format_bytes(small)}"
                text = f"{path}: column {shorten(chunk.path_in_schema)}: {found}, allowed are "
                raise DataError(f"{text}{MOST_PACKED} times as many. Write it uncompressed.")
            packed += small
    if values > max(MOST_EQUAL, packed):
        found = f"{values:,} values in {format_bytes(packed)}, so nearly all of them are equal"
        raise DataError(f"{path}: {found}. Keep one row of each.")


def _chunks(
    group: pq.RowGroupMetaData, columns: Sequence[str] | None
) -> list[pq.ColumnChunkMetaData]:
    """The columns of a row group as Parquet has them, those of the structs among `columns` too."""
    chunks = map(group.column, range(group.num_columns))
    wanted = tuple(f"{name}." for name in columns or ())
    return [c for c in chunks if columns is None or f"{c.path_in_schema}.".startswith(wanted)]


def iter_records(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a file as dictionaries. Raises `DataError` for a damaged one."""
    for batch in iter_batches(path, columns):
        yield from batch.to_pylist()


@contextmanager
def parquet_errors(path: Path, remedy: str = "Remake it.") -> Iterator[None]:
    """Raise `DataError` for a file that can't be read as Parquet; `remedy` says what to do."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        with suppress(OSError), path.open("rb") as file:
            refuse_pointer(file.read(len(POINTER)), path)
        reason = without_secrets(" ".join(str(error).split("\n")[0].split()))
        text = f"{path}: damaged, or not readable as Parquet ({reason}). {remedy}"
        raise DataError(text) from None
