"""Parts packed into few files, and the same parts again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from invdpo.curate.dataset.archive_tables import drop_images, pack_table, unchanged, unpack_table
from invdpo.curate.storage.parts import read_header, read_part, write_part
from invdpo.schemas import DataError
from invdpo.schemas.tables import CANDIDATES

SIZES = (3, 0, 5, 1)
ORIGIN = {"generate": {"model": "a secret place"}}


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """Parts of several sizes, one of them empty, with images and without."""
    paths = []
    for number, size in enumerate(SIZES):
        rows = [
            {
                "candidate_id": f"{number}-{n}",
                "model": ("place", "other", None)[n % 3],
                "image": {"bytes": bytes([n]) * 2000, "path": "x.png"} if n % 2 else None,
            }
            for n in range(size)
        ]
        path = tmp_path / "table" / f"part-{number:05d}.parquet"
        write_part(path, pa.Table.from_pylist(rows, CANDIDATES), ORIGIN, {"number": number})
        paths.append(path)
    return paths


@pytest.mark.parametrize(("fit", "files"), [(4, 1), (0, 4), (2, 3)])
def test_parts_come_back_as_they_were(
    parts: list[Path], tmp_path: Path, fit: int, files: int
) -> None:
    limit = sum(part.stat().st_size for part in parts[:fit])
    packed = pack_table(parts, tmp_path / "packed/table", unchanged, max_bytes=limit)
    assert [p.name for p in packed] == [
        f"table-{n:05d}-of-{files:05d}.parquet" for n in range(files)
    ]
    back = unpack_table(packed, tmp_path / "back")
    assert [path.name for path in back] == [path.name for path in parts]
    for old, new in zip(parts, back, strict=True):
        assert read_part(new).equals(read_part(old))
        assert read_header(new) == read_header(old)


def test_equal_parts_give_equal_bytes(parts: list[Path], tmp_path: Path) -> None:
    """Or else a push that was cut would send all of them again."""
    first, second = (pack_table(parts, tmp_path / name / "t", unchanged)[0] for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_what_a_run_noted_is_redacted(parts: list[Path], tmp_path: Path) -> None:
    def redact(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: redact(inner) for key, inner in value.items()}
        text = isinstance(value, str)
        return value.replace("secret ", "").replace("place", "…") if text else value

    packed = pack_table(parts, tmp_path / "packed/table", redact)
    assert b"secret" not in packed[0].read_bytes()
    back = unpack_table(packed, tmp_path / "back")
    assert read_part(back[0])["model"].to_pylist() == ["…", "other", None]
    assert read_header(back[0]).fingerprint == {"generate": {"model": "a …"}}


def test_images_taken_out(parts: list[Path]) -> None:
    table = read_part(parts[2])
    assert drop_images(table)["image"].null_count == 5
    left = drop_images(table, pa.array(["2-1"]))
    assert [n for n, image in enumerate(left["image"].to_pylist()) if image] == [3]
    assert left.schema.equals(table.schema)


@pytest.mark.parametrize("name", ["../evil.parquet", "invdpo.yaml", "part-1.parquet", ".lock"])
def test_names_that_are_no_parts(tmp_path: Path, name: str) -> None:
    table = pa.table({"candidate_id": ["a"]})
    metadata = {"invdpo.config": "{}", "invdpo.parts": f'[["{name}", 1, {{}}]]'}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="is not a valid name of a part"):
        unpack_table([tmp_path / "t.parquet"], tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("entries", ["[]", '[["part-00000.parquet", 2, {}]]', "{}", "1", "[[1]]"])
def test_what_is_no_packed_table(tmp_path: Path, entries: str) -> None:
    table = pa.table({"candidate_id": ["a"]})
    metadata = {"invdpo.config": "{}", "invdpo.parts": entries}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="not a packed table of invdpo"):
        unpack_table([tmp_path / "t.parquet"], tmp_path / "back")
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="not a packed table of invdpo"):
        unpack_table([tmp_path / "t.parquet"], tmp_path / "back")
