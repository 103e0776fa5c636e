"""Reading Parquet files a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from invdpo.schemas.errors import DataError
from invdpo.schemas.io.redact import without_secrets

BATCH_ROWS = 8
"""Rows in memory; each of their images may have megabytes."""
BUFFER_BYTES = 1 << 20
"""Read ahead in a column."""


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
        for batch in file.iter_batches(batch_rows, columns=columns):
            batch.validate(full=True)
            yield batch


def iter_records(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a file as dictionaries. Raises `DataError` for a damaged one."""
    for batch in iter_batches(path, columns):
        yield from batch.to_pylist()


@contextmanager
def parquet_errors(path: Path, remedy: str = "Make it again.") -> Iterator[None]:
    """Raise `DataError` for a file that can't be read as Parquet; `remedy` says what to do."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = without_secrets(" ".join(str(error).split("\n")[0].split()))
        text = f"{path}: damaged, or not readable as Parquet ({reason}). {remedy}"
        raise DataError(text) from None
