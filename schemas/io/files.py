"""Writing so that a reader sees the old content or the new, never a half."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident

from invdpo.schemas.errors import WorkspaceError


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path`, making its folder. Raises `WorkspaceError` when the disk refuses."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # two processes, or threads, may write the same at once
        temporary = path.with_name(f"{path.name}.{os.getpid()}-{get_ident()}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def append_line(path: Path, line: str) -> None:
    """Add a line of text. Raises `WorkspaceError` when the disk refuses."""
    with disk_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def replace_contents(folder: Path, fill: Callable[[Path], None], *, stale: str = "") -> None:
    """Let `fill` write into a fresh folder, then move each thing it wrote to its place in `folder`.

    A file called `stale`, by which an earlier run's weights would be found, is removed.
    Raises `WorkspaceError` when the disk refuses.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        fresh, old = folder / ".fresh", folder / ".old"
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)
        fresh.mkdir()
        try:
            fill(fresh)
            old.mkdir()
            for item in sorted(fresh.iterdir()):
                if (folder / item.name).is_dir():
                    os.replace(folder / item.name, old / item.name)
                os.replace(item, folder / item.name)
            if stale:
                (folder / stale).unlink(missing_ok=True)
        finally:
            for left in (fresh, old):
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, a read-only folder and the like into a `WorkspaceError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise WorkspaceError(
            f"{path}: can't be written ({reason}). Free space, or name another folder."
        ) from None


def flush(path: Path) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
