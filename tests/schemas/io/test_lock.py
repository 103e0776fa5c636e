"""A folder's lock: one at a time, told by process, free after a kill, nothing left."""

from __future__ import annotations

import errno
import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from filelock import FileLock

from invdpo.schemas import ConfigError, WorkspaceError
from invdpo.schemas.io.lock import FolderLock
from tests.locks import held_elsewhere


def hold(folder: Path, beside: bool, pipe: Connection) -> None:
    with FolderLock(folder, beside=beside):
        pipe.send(os.getpid())
        pipe.recv()


@pytest.mark.parametrize("beside", [False, True])
def test_another_process_is_named_and_a_killed_one_forgotten(tmp_path: Path, beside: bool) -> None:
    ours, theirs = multiprocessing.Pipe()
    folder = tmp_path / "out"
    process = multiprocessing.get_context("spawn").Process(
        target=hold, args=(folder, beside, theirs)
    )
    process.start()
    theirs.close()  # so that a process that fails ends the wait below
    try:
        refused = pytest.raises(
            WorkspaceError, match=f"out: process {ours.recv()} is writing there"
        )
        with refused, FolderLock(folder, beside=beside):
            pass
    finally:
        process.kill()
    process.join()
    with FolderLock(folder, beside=beside):
        pass
    left = sorted(path.name for path in tmp_path.rglob("*"))
    assert left == ([] if beside else ["out"])  # it was there already


@pytest.mark.parametrize("beside", [False, True])
def test_nothing_is_left_of_a_lock(tmp_path: Path, beside: bool) -> None:
    lock = FolderLock(tmp_path / "a" / "b", beside=beside)
    assert os.listdir(tmp_path) == []
    with lock, FolderLock(tmp_path / "a" / "b", beside=beside):
        assert os.listdir(tmp_path) == ["a"]
    assert [path.name for path in tmp_path.rglob("*")] == ["a"] * (not beside)


@pytest.mark.parametrize("beside", [False, True])
def test_no_folder_of_the_name_of_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/h")
    with pytest.raises(ConfigError, match=r"^~/x: ~ was not expanded\. Give /h/x\.$"):
        FolderLock(Path("~/x"), beside=beside)
    assert os.listdir(tmp_path) == []


def test_the_second_may_wait_or_go_elsewhere(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path, "training there")
    with held_elsewhere(lock), pytest.raises(WorkspaceError) as told, lock:
        pass
    assert str(told.value) == (
        f"{tmp_path}: process {os.getpid()} is training there. "
        "Wait until it ends, stop it, or use another folder."
    )


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path, signs=("done.json", "state/now"))
    (tmp_path / ".hidden").touch()
    with lock:
        (tmp_path / "README.md").touch()
    with pytest.raises(
        WorkspaceError, match=r"other files, such as README\.md.* Give a new folder"
    ):
        lock.__enter__()
    assert sorted(os.listdir(tmp_path)) == [".hidden", "README.md"]
    (tmp_path / "state" / "now").mkdir(parents=True)
    with lock:
        pass


@pytest.mark.parametrize(
    ("number", "text"), [(errno.EROFS, "read-only"), (errno.ENOSPC, "the disk is full")]
)
def test_what_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, text: str
) -> None:
    def refuse(self: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(WorkspaceError, match=text), FolderLock(tmp_path):
        pass


def test_a_disk_without_locks_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with FolderLock(tmp_path):
        (tmp_path / "file").touch()
    assert "does not support locks" in caplog.text
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"\x1b[2J", b"7" * 4])
def test_what_stands_beside_a_lock_is_quoted_only_if_it_is_a_number(
    tmp_path: Path, content: bytes
) -> None:
    holder = f"process {content.decode()}" if content.isdigit() else "another process"
    lock = FolderLock(tmp_path)
    with held_elsewhere(lock):
        (tmp_path / ".lock.pid").write_bytes(content)
        with pytest.raises(WorkspaceError) as error, lock:
            pass
    assert f"{holder} is writing there" in str(error.value)
