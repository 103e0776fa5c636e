"""Reading Parquet files a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

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

STOP, TRUE, FALSE, BYTE, NUMBER, BINARY, STRUCT = 0, 1, 2, 3, 5, 8, 12
"""Types of Thrift's fields, as far as a page's header needs more than a number's."""
NEVER, DEEPEST = (0, 7, 9, 10, 11, 13, 14, 15), 2
"""Types that a page's header never has, and how deep its structs are."""
NO_HEADER = "a page without a header"
PAGE_SIZES = (2, 3)
"""Fields of a page's header: its bytes unpacked, and in the file."""
HEADERS = (1 << 9, 1 << 14, 1 << 24)
"""Bytes in which the end of a header is looked for; Arrow allows no longer one."""


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
    with (
        parquet_errors(path),
        pq.ParquetFile(path, **options) as file,
        path.open("rb") as source,
    ):
        yield from file_batches(file, source, path, columns, batch_rows)


def file_batches(
    file: pq.ParquetFile,
    source: BinaryIO,
    path: Path,
    columns: Sequence[str] | None,
    batch_rows: int,
) -> Iterator[pa.RecordBatch]:
    """The rows of an open file, as few at a time as fit `BATCH_BYTES`. Raises as `check_sizes`.

    `source` is the same file, for the headers of its pages.
    """
    check_sizes(file.metadata, path, columns)
    check_pages(file.metadata, source, path, columns)
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


def check_pages(
    metadata: pq.FileMetaData, source: BinaryIO, path: Path, columns: Sequence[str] | None = None
) -> None:
    """Raise `DataError` for a page that says it unpacks to more than its whole column.

    Arrow would take that much memory before it sees what the page holds.
    """
    for number in range(metadata.num_row_groups):
        for chunk in _chunks(metadata.row_group(number), columns):
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            end = start + chunk.total_compressed_size
            allowed = max(MOST_UNPACKED, chunk.total_uncompressed_size)
            while start < end and chunk.compression != "UNCOMPRESSED":
                start, size = _read_header(source, start) or (end, 0)
                if size > allowed:
                    found = f"a page of {format_bytes(size)}, more than all of the column"
                    text = f"{path}: column {shorten(chunk.path_in_schema)}: {found}. Remake it."
                    raise DataError(text)


def _read_header(source: BinaryIO, start: int) -> tuple[int, int] | None:
    """Where the page at `start` ends, and its bytes when unpacked; None for empty space.

    Raises `OSError` for anything else.
    """
    for length in HEADERS:
        source.seek(start)
        with suppress(IndexError):  # statistics make a header long
            size, unpacked, packed = page_header(source.read(length), 0)
            return None if packed < 0 else (start + size + packed, unpacked)
    raise OSError(NO_HEADER)


def page_header(data: bytes | memoryview, start: int) -> tuple[int, int, int]:
    """Where the header of a page ends; bytes of the page, unpacked and in the file.

    It is a Thrift struct in the compact protocol. Raises `IndexError` where `data` ends before,
    `OSError` for what no page has.
    """
    values = dict.fromkeys(PAGE_SIZES, -1)
    place, field = start, 0
    while data[place] != STOP:
        step, kind = data[place] >> 4, data[place] & 15
        place, field = place + 1, field + step
        if not step:
            place, field = _zigzag(data, place)
        if field in values and kind == NUMBER:
            _, values[field] = _zigzag(data, place)
        place = _after(data, place, kind)
    unpacked, packed = values.values()
    return place + 1, unpacked, packed


def _after(data: bytes | memoryview, place: int, kind: int, depth: int = 0) -> int:
    """Where the value of a field ends."""
    if depth > DEEPEST or kind in NEVER:
        raise OSError(NO_HEADER)
    if kind in (TRUE, FALSE):
        return place
    if kind == BYTE:
        return place + 1
    if kind == BINARY:
        place, size = _varint(data, place)
        return place + size
    if kind != STRUCT:
        return _varint(data, place)[0]
    while data[place] != STOP:
        step, inner = data[place] >> 4, data[place] & 15
        place += 1
        if not step:
            place = _varint(data, place)[0]
        place = _after(data, place, inner, depth + 1)
    return place + 1


def _varint(data: bytes | memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return place, value
        if shift > 63:
            raise OSError(NO_HEADER)


def _zigzag(data: bytes | memoryview, place: int) -> tuple[int, int]:
    place, value = _varint(data, place)
    return place, (value >> 1) ^ -(value & 1)


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
