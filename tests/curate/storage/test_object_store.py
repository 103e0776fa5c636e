"""Parts and the lock on an object store, one in memory here: whole or absent, errors in words."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from invdpo.curate.storage import lock, object_store, parts
from invdpo.curate.storage.urls import to_path
from invdpo.curate.workspace import Workspace
from invdpo.schemas import WorkspaceError
from invdpo.schemas.io.processes import machine

TABLE = pa.table({"key": ["a", "b"], "value": [1, 2]})
MADE_BY = {"step": {"size": 3}}


@pytest.fixture
def root() -> Iterator[Path]:
    found = to_path(f"memory://{uuid.uuid4().hex}/run")
    yield found
    there: Any = found
    if found.exists():
        there.fs.rm(there.path, recursive=True)


def names(root: Path) -> list[str]:
    there: Any = root
    return [name.removeprefix(f"{there.path}/") for name in there.fs.find(there.path)]


def test_parts_come_back(root: Path) -> None:
    path = root / "deep" / "part-00001.parquet"
    parts.write_part(path, TABLE, MADE_BY, {"doubled": 1})
    parts.write_part(path.with_name("part-00000.parquet"), TABLE, MADE_BY)
    assert parts.read_part(path).equals(TABLE)
    assert parts.read_part(path, ["value"]).column_names == ["value"]
    assert parts.read_header(path) == (2, MADE_BY, {"doubled": 1})
    assert [p.name for p in parts.list_parts(root / "deep")] == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    assert parts.list_parts(root / "none") == []


def test_same_bytes_as_on_a_disk(root: Path, tmp_path: Path) -> None:
    for folder in (root, tmp_path):
        parts.write_part(folder / "part-00000.parquet", TABLE, MADE_BY)
    there, here = root / "part-00000.parquet", tmp_path / "part-00000.parquet"
    assert there.read_bytes() == here.read_bytes()


def test_damage_is_named_with_the_way_out(root: Path) -> None:
    path = root / "candidates" / "part-00000.parquet"
    parts.write_part(path, TABLE, MADE_BY)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(
        WorkspaceError, match=r"damaged.*invdpo curate generate memory://.*--repair"
    ):
        parts.read_header(path)


def test_a_failing_store_leaves_the_older_part(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / "part-00000.parquet"
    parts.write_part(path, TABLE, MADE_BY)
    there: Any = path

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("slow down, https://me:SECRET@store/?key=SECRET")

    with monkeypatch.context() as patch:
        patch.setattr(type(there.fs), "put_file", fail)
        with pytest.raises(
            WorkspaceError, match="the object store reports: RuntimeError: slow down"
        ) as told:
            parts.write_part(path, TABLE.slice(1), MADE_BY)
    assert "SECRET" not in str(told.value)
    assert parts.read_part(path).equals(TABLE)


def test_half_an_upload_is_noticed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there: Any = root

    def half(self: Any, file: str, path: str) -> None:
        self.pipe_file(path, Path(file).read_bytes()[:10])

    monkeypatch.setattr(type(there.fs), "put_file", half)
    with pytest.raises(WorkspaceError, match=r"10 of \d+ bytes arrived"):
        parts.write_part(root / "part-00000.parquet", TABLE, MADE_BY)


def test_where_puts_can_be_seen_half_done_files_are_moved(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "STORES", set())
    there: Any = root
    put = type(there.fs).put_file
    seen: list[str] = []

    def watched(self: Any, file: str, path: str) -> None:
        put(self, file, path)
        seen.extend(names(root))

    monkeypatch.setattr(type(there.fs), "put_file", watched)
    parts.write_part(root / "part-00000.parquet", TABLE, MADE_BY)
    assert seen == [".part-00000.parquet.tmp"]
    assert names(root) == ["part-00000.parquet"]
    (root / ".part-00001.parquet.tmp").write_bytes(b"half")
    parts.remove_stale(root)
    assert names(root) == ["part-00000.parquet"]


def test_missing_tables_name_their_commands(root: Path) -> None:
    ws = Workspace(root)
    with pytest.raises(WorkspaceError, match=r"First run: invdpo curate generate memory://\w+/run"):
        ws.read_table(ws.candidates_dir)
    with pytest.raises(WorkspaceError, match=r"First run: invdpo curate prompts memory://\w+/run"):
        ws.read_table(ws.prompts_path)


def test_one_at_a_time_and_nested(root: Path) -> None:
    ws = Workspace(root)
    with ws.lock(), ws.lock():
        refused = pytest.raises(WorkspaceError, match=f"process {os.getpid()} on .* is working")
        with refused, Workspace(root).lock():
            pass
    assert names(root) == []
    with Workspace(root).lock():
        assert names(root) == [".lock"]


def left(root: Path, **changes: Any) -> None:
    """A lock that somebody took and did not give back."""
    says = {
        "machine": "elsewhere",
        "host": "other",
        "process": 7,
        "token": "theirs",
        "until": time.time() + 3600,
    } | changes
    (root / ".lock").write_text(json.dumps(says))


def test_lock_of_another_machine_counts_until_its_time_is_over(root: Path) -> None:
    left(root)
    refused = pytest.raises(WorkspaceError, match="process 7 on other is working")
    with refused, Workspace(root).lock():
        pass
    left(root, until=time.time() - 1)
    with Workspace(root).lock():
        pass


def test_lock_of_a_dead_process_of_this_machine_is_free(root: Path) -> None:
    process = os.fork()
    if process == 0:
        os._exit(0)
    os.waitpid(process, 0)
    left(root, machine=machine(), process=process)
    with Workspace(root).lock():
        pass


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"until": "soon"}'])
def test_what_is_no_lock_is_none(root: Path, text: str) -> None:
    (root / ".lock").write_text(text)
    with Workspace(root).lock():
        pass


def test_a_lost_lock_is_not_taken_from_its_new_holder(root: Path) -> None:
    with Workspace(root).lock():
        left(root)
    assert json.loads((root / ".lock").read_text())["token"] == "theirs"


def test_a_lock_is_renewed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "RENEW", 0.01)
    with Workspace(root).lock():
        first = json.loads((root / ".lock").read_text())["until"]
        for _ in range(24_000):
            if json.loads((root / ".lock").read_text())["until"] > first:
                break
            time.sleep(0.01)
        else:
            pytest.fail("never renewed")


def test_two_who_come_at_once_do_not_both_get_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other's lock appears between our look and our writing."""
    read = lock.RemoteLock._read

    def late(self: lock.RemoteLock) -> Any:
        found = read(self)
        if found is None:
            left(root)
        return found

    monkeypatch.setattr(lock.RemoteLock, "_read", late)
    refused = pytest.raises(WorkspaceError, match="process 7 on other is working")
    with refused, Workspace(root).lock():
        pass
