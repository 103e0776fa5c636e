"""Files and folders, here or remote, that are either complete or as they were before."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from invdpo.curate.storage.errors import storage_errors
from invdpo.curate.storage.object_store import put, uploading
from invdpo.curate.storage.urls import is_remote
from invdpo.schemas import DataError
from invdpo.schemas.io.files import flush_tree, replacing_file
from invdpo.schemas.io.lock import FolderLock


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name to write to; on leaving, what is there is flushed and becomes `path`.

    When the block fails or is interrupted nothing is left, and an older `path` stays as it was.
    The name is of this machine; a remote `path` is put in one piece.
    """
    with (uploading if is_remote(path) else replacing_file)(path) as temporary:
        yield temporary


PAGES = (".html", ".md")
"""What shows the other files."""


@contextmanager
def replacing_folder(path: Path, ours: Collection[str] | None = None) -> Iterator[Path]:
    """An empty folder to write to; on leaving, it is flushed and takes the place of `path`.

    When the block fails nothing is left, and an older `path` stays as it was. With `ours` only a
    folder that holds nothing but files of these names is replaced: `DataError` for any other,
    `WorkspaceError` for a disk that is full or read-only, and while another process writes the same
    folder. On an object store, where nothing can be renamed, the files are put one after another,
    pages last.
    """
    if is_remote(path):
        with _uploading(path, ours) as temporary:
            yield temporary
        return
    lock, path = FolderLock(path, beside=True), path.resolve()
    new, aside = (path.with_name(f".{path.name}.{word}") for word in ("tmp", "old"))
    with lock, storage_errors(path):
        if aside.exists() and not path.exists():  # a kill came between the two renames
            aside.rename(path)
        for leftover in (new, aside):
            shutil.rmtree(leftover, ignore_errors=True)
        _check(path, ours)
        try:
            new.mkdir(parents=True)
            yield new
            flush_tree(new)
            _swap(new, path, aside)
        finally:
            shutil.rmtree(new, ignore_errors=True)


@contextmanager
def _uploading(path: Path, ours: Collection[str] | None) -> Iterator[Path]:
    with storage_errors(path):
        _check(path, ours)
    with tempfile.TemporaryDirectory(prefix="invdpo-") as folder:
        new = Path(folder)
        yield new
        files = [file for file in new.rglob("*") if file.is_file()]
        names = [file.relative_to(new).as_posix() for file in files]
        with storage_errors(path):
            for name in sorted(names, key=lambda name: (name.endswith(PAGES), name)):
                put(new / name, path / name)
            for old in [entry for entry in path.rglob("*") if entry.is_file()]:
                if old.relative_to(path).as_posix() not in names:
                    old.unlink()


def _swap(new: Path, path: Path, aside: Path) -> None:
    if path.exists():
        path.rename(aside)
    new.rename(path)
    shutil.rmtree(aside, ignore_errors=True)


def _check(path: Path, ours: Collection[str] | None) -> None:
    if ours is None or not path.exists():
        return
    wanted = "Give a new folder" + (", or one that holds a report." if ours else ".")
    if not path.is_dir():
        raise DataError(f"{path}: a file. {wanted}")
    others = sorted(entry.name for entry in path.iterdir() if entry.name not in ours)
    if others:
        text = f"{path}: holds other files, such as {others[0]}, so it is not replaced."
        raise DataError(f"{text} {wanted}")
