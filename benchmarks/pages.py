"""What two Parquet files share: their pages, by the hashes of their bytes.

A page's header is a Thrift struct in the compact protocol; its third field is the number of bytes
that follow it. Content-defined chunking puts page borders where the content says, so that equal
rows make equal pages, which content-addressed stores keep once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

STOP, TRUE, FALSE, BYTE, BINARY, STRUCT = 0, 1, 2, 3, 8, 12
COMPRESSED = 3
"""Field of a page's header: bytes after it."""


def pages(path: Path) -> Iterator[tuple[str, int]]:
    """Hash and bytes of every page of a file, its header included."""
    metadata = pq.read_metadata(path)
    data = memoryview(path.read_bytes())
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            start = column.dictionary_page_offset or column.data_page_offset
            end = start + column.total_compressed_size
            while start < end:
                size = _page_bytes(data, start)
                yield hashlib.sha256(data[start : start + size]).hexdigest(), size
                start += size


def shared(old: list[Path], new: list[Path]) -> tuple[int, int]:
    """Bytes of the new files' pages that the old files have too, and bytes of all of them."""
    known = {name for path in old for name, _ in pages(path)}
    found = [(name in known, size) for path in new for name, size in pages(path)]
    return sum(size for there, size in found if there), sum(size for _, size in found)


def _page_bytes(data: memoryview, start: int) -> int:
    """Of the page at `start`, with its header."""
    place, field, held = start, 0, 0
    while data[place] != STOP:
        step, kind = data[place] >> 4, data[place] & 15
        place, field = place + 1, field + step
        if not step:
            place, field = _zigzag(data, place)
        if field == COMPRESSED:
            _, held = _zigzag(data, place)
        place = _after(data, place, kind)
    return place + 1 + held - start


def _after(data: memoryview, place: int, kind: int) -> int:
    """Where the value of a field ends."""
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
        place = _after(data, place, inner)
    return place + 1


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return place, value


def _zigzag(data: memoryview, place: int) -> tuple[int, int]:
    place, value = _varint(data, place)
    return place, (value >> 1) ^ -(value & 1)
