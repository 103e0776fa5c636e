"""Order of ids, and which of them stand twice: fast for ids of one length, as ours are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from invdpo.schemas import DataError

Ints = NDArray[np.int64]
WORD = 8
"""Bytes that are compared at once."""


def sorted_rows(ids: pa.ChunkedArray) -> Ints:
    """Rows in the order of the ids' bytes, n; rows of equal ids as they came."""
    words = _words(ids)
    if words is None:
        return np.asarray(pc.sort_indices(ids).to_numpy(), dtype=np.int64)
    return np.lexsort(words.T[::-1])


def check_key(table: pa.Table, key: str, what: str) -> None:
    """Raise `DataError` with the ids that stand in more than one row, or when one is missing."""
    ids = table[key]
    if ids.null_count:
        raise DataError(f"{what}: {ids.null_count} rows without {key}. Remake the table.")
    words = _words(ids)
    if words is not None:
        ordered = words[np.lexsort(words.T[::-1])]
        if not (ordered[1:] == ordered[:-1]).all(axis=1).any():
            return
    if doubled := len(table) - pc.count_distinct(ids).as_py():
        counts = pc.value_counts(ids).to_pylist()
        first = [str(row["values"]) for row in counts if row["counts"] > 1][:3]
        text = f"{what}: {doubled} rows repeat the {key} of another row of their table"
        raise DataError(f"{text} ({', '.join(first)}). Remake the table.")


def _words(ids: pa.ChunkedArray) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]] | None:
    """Ids as whole numbers of 8 bytes each that sort as their bytes do, n x length / 8.

    None unless all are of one length that is a multiple of 8.
    """
    array = ids.combine_chunks().cast(pa.large_string())
    length = pc.min_max(pc.binary_length(array)).as_py()
    size = length["min"]
    if array.null_count or not size or size != length["max"] or size % WORD:
        return None
    start = np.frombuffer(array.buffers()[1], np.int64, 1, array.offset * 8)[0]
    data = np.frombuffer(array.buffers()[2], np.uint8, len(array) * size, int(start))
    return np.ascontiguousarray(data.reshape(-1, size)).view(">u8").astype(np.uint64)
