"""A folder is replaced whole, or stays as it was; never one with other things in it."""

import os
import uuid
from pathlib import Path

import pytest

from invdpo.curate.storage.atomic import replacing_folder
from invdpo.curate.storage.urls import to_path
from invdpo.schemas import DataError, WorkspaceError
from invdpo.schemas.io.lock import FolderLock
from tests.locks import held_elsewhere

OURS = ("a.txt", "b.txt")


def fill(folder: Path, **texts: str) -> None:
    with replacing_folder(folder, OURS) as new:
        for name, text in texts.items():
            (new / f"{name}.txt").write_text(text)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_new_and_again(tmp_path: Path) -> None:
    fill(tmp_path / "deep" / "out", a="1", b="1")
    fill(tmp_path / "deep" / "out", a="2")
    assert left(tmp_path / "deep" / "out") == ["a.txt"]
    assert (tmp_path / "deep" / "out" / "a.txt").read_text() == "2"
    assert left(tmp_path / "deep") == ["out"]


def test_failure_leaves_the_old_one(tmp_path: Path) -> None:
    fill(tmp_path / "out", a="1")
    with pytest.raises(TypeError):
        fill(tmp_path / "out", b="1", a=None)  # type: ignore[arg-type]
    assert (tmp_path / "out" / "a.txt").read_text() == "1"
    assert left(tmp_path) == ["out"]


def test_folders_with_other_things_are_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match=r"thesis\.tex"):
        fill(tmp_path, a="1")
    assert left(tmp_path) == ["thesis.tex"]


def test_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    fill(Path("."), a="1")
    assert (tmp_path / "empty" / "a.txt").read_text() == "1"


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(DataError, match="a file"):
        fill(tmp_path / "out", a="1")


def test_a_kill_between_the_renames_is_mended(tmp_path: Path) -> None:
    fill(tmp_path / "out", a="1")
    (tmp_path / "out").rename(tmp_path / ".out.old")
    with pytest.raises(ZeroDivisionError), replacing_folder(tmp_path / "out", OURS):
        raise ZeroDivisionError
    assert (tmp_path / "out" / "a.txt").read_text() == "1"


def test_on_an_object_store() -> None:
    folder = to_path(f"memory://{uuid.uuid4().hex}/out")
    fill(folder, a="1", b="1")
    fill(folder, a="2")
    assert left(folder) == ["a.txt"]
    assert (folder / "a.txt").read_text() == "2"
    (folder / "other.txt").write_text("mine")
    with pytest.raises(DataError, match=r"other\.txt"):
        fill(folder, a="3")
    assert (folder / "a.txt").read_text() == "2"


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "set"
    with held_elsewhere(FolderLock(path, beside=True)):
        refused = pytest.raises(
            WorkspaceError, match=f"set: process {os.getpid()} is writing there"
        )
        with refused, replacing_folder(path, ours=()):
            pass
    with replacing_folder(path, ours=()) as new:
        (new / "file").touch()
    assert os.listdir(tmp_path) == ["set"]


def test_leftovers_of_a_kill_go_even_when_the_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "file").touch()
    for name in (".set.old", ".set.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").touch()
    with (
        pytest.raises(DataError, match="holds other files"),
        replacing_folder(tmp_path / "set", ours=()),
    ):
        pass
    assert os.listdir(tmp_path) == ["set"]
