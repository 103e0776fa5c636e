"""Files are written whole or not at all, and what the disk refuses is told with the way out."""

from __future__ import annotations

import errno
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from safetensors import SafetensorError

from invdpo.schemas import DataError, WorkspaceError
from invdpo.schemas.io.files import (
    disk_errors,
    flush_tree,
    hash_file,
    remove_abandoned,
    remove_leftovers,
    replace_contents,
    replacing_file,
    write_atomically,
)
from tests.locks import killed_while_writing


def test_a_file_is_replaced_and_its_folder_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    for content in (b"first", b"second"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["file.txt"]


def test_a_block_that_fails_leaves_the_older_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_atomically(path, b"old")

    def fail(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise DataError("stop")

    with pytest.raises(DataError), replacing_file(path) as temporary:
        fail(temporary)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path, contents = tmp_path / "file", [bytes([n]) * 10_000 for n in range(32)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(partial(write_atomically, path), contents))
    assert path.read_bytes() in contents
    assert os.listdir(tmp_path) == ["file"]


def test_only_old_leftovers_of_the_same_file_go(tmp_path: Path) -> None:
    names = (".a[1].txt.7-8.tmp", ".a1.txt.7-8.tmp", ".a[1].txt.9-9.tmp")
    for name in names:
        (tmp_path / name).write_text("half")
    for name in names[:2]:
        os.utime(tmp_path / name, (0, 0))
    write_atomically(tmp_path / "a[1].txt", b"whole")
    assert sorted(os.listdir(tmp_path)) == [".a1.txt.7-8.tmp", ".a[1].txt.9-9.tmp", "a[1].txt"]
    remove_abandoned(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".a[1].txt.9-9.tmp", "a[1].txt"]


def test_what_a_killed_process_left_goes_at_once(tmp_path: Path) -> None:
    left = killed_while_writing(tmp_path / "a")
    other = left.with_name(left.name.replace(".a.", ".b.").replace(left.name[3:11], "0" * 8))
    with replacing_file(tmp_path / "c") as ours:
        for path in (other, ours, tmp_path / "mine.tmp", tmp_path / ".mine.1.tmp"):
            path.write_text("half")
        os.utime(tmp_path / "mine.tmp", (0, 0))
        os.utime(tmp_path / ".mine.1.tmp", (0, 0))
        remove_abandoned(tmp_path)
        # a process of another machine may be at work, and other programs have such names, too
        kept = {other.name, ours.name, "mine.tmp", ".mine.1.tmp"}
        assert set(os.listdir(tmp_path)) == kept


def test_leftovers_of_a_killed_save_go(tmp_path: Path) -> None:
    killed_while_writing(tmp_path / "a")
    for name in (".fresh", ".old", "kept"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["kept"]


def test_a_folder_stays_whatever_its_name(tmp_path: Path) -> None:
    name = ".old.7-8.tmp"
    (tmp_path / name).mkdir()
    os.utime(tmp_path / name, (0, 0))
    remove_abandoned(tmp_path)
    assert (tmp_path / name).is_dir()


def test_everything_below_a_folder_is_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("x")
    flushed: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.add(os.fstat(handle).st_ino))
    flush_tree(tmp_path)
    paths = (tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "file")
    assert flushed == {path.stat().st_ino for path in paths}


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_what_is_moved_into_place_has_the_modes_of_new_files(tmp_path: Path, umask: int) -> None:
    def fill(folder: Path) -> None:
        for name, mode in (("private", 0o600), ("open", 0o666), ("read", 0o444), ("run", 0o755)):
            (folder / name).touch()
            (folder / name).chmod(mode)
        (folder / "sub").mkdir()
        (folder / "sub" / "file").touch(0o600)
        (folder / "sub").chmod(0o555)
        (folder / "link").symlink_to("private")

    before = os.umask(umask)
    try:
        replace_contents(tmp_path / "out", fill)
        write_atomically(tmp_path / "file", b"")
    finally:
        os.umask(before)
    paths = [*(tmp_path / "out").rglob("*"), tmp_path / "file"]
    modes = {path.name: path.lstat().st_mode & 0o777 for path in paths if not path.is_symlink()}
    plain = dict.fromkeys(("private", "open", "read", "file"), 0o666 & ~umask)
    assert modes == plain | {"run": 0o777 & ~umask, "sub": 0o777 & ~umask}


def test_hashes_are_those_of_hashlib(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_file(tmp_path / "abc") == known
    begun = partial(hashlib.sha256, b"before")
    assert hash_file(tmp_path / "abc", begun) == hashlib.sha256(b"beforeabc").hexdigest()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "x"), "p: the disk is full. Free some space and run"),
        (OSError(errno.EROFS, "x"), "p: can't be written (read-only). Give a folder"),
        (OSError(errno.EIO, "Input/output error"), "p: can't be used (Input/output error)."),
        (OSError("https://me:KEY@host/?sig=KEY"), "p: can't be used (https://host/?…)."),
        (SafetensorError("I/O error: No space left (os error 28)"), "p: the disk is full."),
        (SafetensorError("no number"), "p: can't be used (no number)."),
    ],
)
def test_what_the_disk_refuses_is_told(error: Exception, text: str) -> None:
    with pytest.raises(WorkspaceError) as told, disk_errors(Path("p")):
        raise error
    assert str(told.value).startswith(text)


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), disk_errors(Path("p")):
        raise ZeroDivisionError
