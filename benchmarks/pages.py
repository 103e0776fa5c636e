"""What two Parquet files share: their pages, by the hashes of their bytes.

Content-defined chunking puts page borders where the content says, so that equal
rows make equal pages, which content-addressed stores keep once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from invdpo.schemas.io.parquet import page_header


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
                header_end, _, held = page_header(data, start)
                size = header_end + held - start
                yield hashlib.sha256(data[start : start + size]).hexdigest(), size
                start += size


def shared(old: list[Path], new: list[Path]) -> tuple[int, int]:
    """Bytes of the new files' pages that the old files have too, and bytes of all of them."""
    known = {name for path in old for name, _ in pages(path)}
    found = [(name in known, size) for path in new for name, size in pages(path)]
    return sum(size for there, size in found if there), sum(size for _, size in found)
