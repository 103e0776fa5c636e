"""Parts on disk: whole or absent, refused when damaged, plain words when the disk fails."""

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest

from invdpo.curate.storage import parts
from invdpo.schemas import WorkspaceError

TABLE = pa.table({"key": ["a", "b"], "value": [1, 2]})
MADE_BY = {"step": {"size": 3}}


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "part-00000.parquet"
    parts.write_part(path, TABLE, MADE_BY, {"doubled": 1})
    assert parts.read_part(path).equals(TABLE)
    assert parts.read_part(path, ["value"]).column_names == ["value"]
    assert parts.read_header(path) == (2, MADE_BY, {"doubled": 1})
    assert os.listdir(path.parent) == [path.name]


def test_same_content_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        parts.write_part(tmp_path / name, TABLE, MADE_BY)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_truncated_part_is_named(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "part-00000.parquet"
    parts.write_part(path, TABLE, MADE_BY)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WorkspaceError, match=r"part-00000.parquet: damaged.*--repair"):
        parts.read_header(path)


def test_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    table = pa.table({"value": pa.array(range(1000))})
    parts.write_part(path, table, MADE_BY)
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    with pytest.raises(WorkspaceError, match="damaged"):
        parts.read_part(path)


def test_foreign_parquet_is_refused(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(TABLE, tmp_path / "part-00000.parquet")
    with pytest.raises(WorkspaceError, match="not a table of invdpo"):
        parts.read_header(tmp_path / "part-00000.parquet")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "read-only"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("where", ["replace", "fsync", "write"])
def test_failing_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str, where: str
) -> None:
    path = tmp_path / "part-00000.parquet"
    parts.write_part(path, TABLE, MADE_BY)

    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    if where == "write":
        monkeypatch.setattr("pyarrow.parquet.write_table", fail)
    else:
        monkeypatch.setattr(os, where, fail)
    with pytest.raises(WorkspaceError, match=words) as caught:
        parts.write_part(path, TABLE.slice(1), MADE_BY)
    assert str(path) in str(caught.value)
    monkeypatch.undo()
    assert parts.read_part(path).equals(TABLE), "the older part stays"
    assert os.listdir(tmp_path) == [path.name], "no temporary file stays"


def test_ctrl_c_while_writing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        parts.write_part(tmp_path / "part-00000.parquet", TABLE, MADE_BY)
    assert not os.listdir(tmp_path)


def test_stale_temporary_files_go_and_folders_stay(tmp_path: Path) -> None:
    (tmp_path / ".part-00000.parquet.tmp").write_text("half")
    (tmp_path / ".dataset.tmp").mkdir()
    parts.remove_stale(tmp_path)
    assert os.listdir(tmp_path) == [".dataset.tmp"]


def test_differences_name_key_and_both_values() -> None:
    old = {"generate": {"seed": 0, "steps": 20}, "prompts": {"split": "train"}}
    new = {"generate": {"seed": 0, "steps": 10}, "score": {"revision": "1"}}
    assert parts.differences(old, new) == [
        "generate.steps: 20 in the workspace, 10 asked for",
        'prompts.split: "train" in the workspace, nothing asked for',
        'score.revision: nothing in the workspace, "1" asked for',
    ]
    assert parts.differences(old, old) == []
