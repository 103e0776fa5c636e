"""Parquet files of few bytes that stand for many: read a little at a time, or refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from invdpo.schemas import DataError
from invdpo.schemas.io import parquet
from invdpo.schemas.io.parquet import BATCH_BYTES, iter_batches, read_schema
from invdpo.schemas.io.records import read_entries, read_prompts
from invdpo.schemas.io.text_files import POINTER

LONG = 1 << 20


def equal_rows(value: str, count: int) -> pa.Table:
    return pa.table({"prompt": pa.repeat(value, count)})


@pytest.mark.parametrize(
    "options", [{}, {"use_dictionary": False, "column_encoding": {"prompt": "DELTA_BYTE_ARRAY"}}]
)
def test_rows_of_one_long_value_come_a_few_at_a_time(
    tmp_path: Path, options: dict[str, object]
) -> None:
    path = tmp_path / "train.parquet"
    pq.write_table(equal_rows("x" * LONG, 600), path, compression="zstd", **options)
    assert path.stat().st_size < LONG
    sizes = [(len(batch), batch.nbytes) for batch in iter_batches(path, ["prompt"], 1_000)]
    assert sum(rows for rows, _ in sizes) == 600
    assert max(size for _, size in sizes) <= BATCH_BYTES + LONG
    before = pa.total_allocated_bytes()
    next(read_entries(path, path.read_bytes(), list))
    assert pa.total_allocated_bytes() - before < 2 * BATCH_BYTES


def test_ordinary_rows_come_in_batches_as_wide_as_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    pq.write_table(pa.table({"prompt": [f"a cat {n}" for n in range(2_000)]}), path)
    assert [len(batch) for batch in iter_batches(path, None, 1_000)] == [1_000, 1_000]
    assert len(read_prompts(path)) == 2_000


def test_what_stands_for_more_than_memory_or_time_allow_is_refused(tmp_path: Path) -> None:
    large, many = tmp_path / "large.parquet", tmp_path / "many.parquet"
    pq.write_table(equal_rows("\0" * (300 * LONG), 1), large, compression="zstd")
    with pytest.raises(DataError, match=r"large.parquet: column prompt: 31\d.* MB are packed into"):
        next(iter_batches(large))
    lists = pa.ListArray.from_arrays([0, 1_500_000], pa.repeat("a cat", 1_500_000))
    for table in (equal_rows("a cat", 1_500_000), pa.table({"prompt": lists})):
        pq.write_table(table, many)
        with pytest.raises(
            DataError, match=r"1,500,000 values in .* \w+, so nearly all of them are equal"
        ):
            read_prompts(many)


def test_a_pointer_of_git_lfs_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(POINTER + b"spec/v1\noid sha256:0a\nsize 67671\n")
    with pytest.raises(DataError, match=r"a\.parquet: a pointer of Git LFS.* git lfs pull"):
        read_schema(tmp_path / "a.parquet")


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_page_that_claims_more_than_its_column_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(parquet, "MOST_UNPACKED", 1_000)
    path, values = tmp_path / "train.parquet", [f"a cat {n}" for n in range(5_000)]
    options = {"compression": "zstd", "data_page_version": version, "data_page_size": 10_000}
    pq.write_table(pa.table({"prompt": values}), path, use_dictionary=False, **options)
    assert sum(len(batch) for batch in iter_batches(path)) == 5_000
    data = bytearray(path.read_bytes())
    at = pq.read_metadata(path).row_group(0).column(0).data_page_offset + 2
    assert data[at] == 0x15  # the header's second number, of three bytes
    data[at + 1 : at + 4] = b"\xfe\xff\x7f"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"train.parquet: column prompt: a page of 1.* MB, more"):
        next(iter_batches(path))
    with pytest.raises(DataError, match=r"train.parquet: column prompt: a page of 1.* MB, more"):
        read_prompts(path)
    for damage in (b"\xff" * 12, b"\x1c" * 12, b"\x19" * 12, b"\0" * 12):
        data[at - 2 : at + 10] = damage
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"train.parquet: damaged"):
            next(iter_batches(path))
