"""Reading Parquet files row by row, a few rows in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from invdpo.schemas.errors import DataError

ROWS = 8
"""Rows in memory; their pictures may have megabytes each."""
BUFFER = 1 << 20
"""Bytes read ahead in a column."""


def schema_of(path: Path) -> pa.Schema:
    """Names and types of the columns. Raises `DataError` for what is no Parquet."""
    with _explained(path), pq.ParquetFile(path) as file:
        return file.schema_arrow


def records(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    """The rows of a file. Raises `DataError` for a damaged one."""
    # buffering beforehand would keep the whole file in memory, however few rows are asked for
    options = {"pre_buffer": False, "buffer_size": BUFFER}
    with _explained(path), pq.ParquetFile(path, **options) as file:
        for batch in file.iter_batches(ROWS, columns=columns):
            yield from batch.to_pylist()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        first = " ".join(str(error).split("\n")[0].split())
        raise DataError(f"{path}: not readable as Parquet ({first}). Make it again.") from None
