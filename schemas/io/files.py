"""Files of this machine: written whole or not at all, on the disk when a function returns, hashed.

What the disk refuses becomes a `WorkspaceError` that says what to do.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import get_ident
from typing import Any

from invdpo.schemas.errors import WorkspaceError
from invdpo.schemas.io.redact import without_secrets

FULL = (errno.ENOSPC, errno.EDQUOT)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
ABANDONED = 3600.0
"""Seconds without a change after which a temporary file is taken for a killed process's."""
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""How libraries written in Rust note the system's number of an error."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content`; a reader sees the old file or the new one. See `replacing_file`.

    Raises `WorkspaceError` when the disk refuses.
    """
    with replacing_file(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """A temporary name to write to; on leaving, the file there is flushed and becomes `path`.

    The folder is made. When the block fails or is interrupted nothing is left, and an older `path`
    stays as it was. Several processes and threads may write the same file at once: the last wins.
    Raises `WorkspaceError` when the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.tmp")
    try:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            flush(temporary)
            os.replace(temporary, path)
            flush(path.parent)
            remove_abandoned(path.parent, f".{glob.escape(path.name)}.*.tmp")
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_abandoned(folder: Path, pattern: str = "*.tmp") -> None:
    """Remove temporary files of killed processes; what changed in the last hour may be in use."""
    for path in folder.glob(pattern):
        with suppress(OSError):  # its writer may just have given it its name
            if path.is_file() and time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink()


def append_line(path: Path, line: str) -> None:
    """Add a line of text. Raises `WorkspaceError` when the disk refuses."""
    with disk_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def replace_contents(folder: Path, fill: Callable[[Path], None], *, stale: str = "") -> None:
    """Let `fill` write into a fresh folder, then move everything it wrote into `folder`.

    A file called `stale`, in which an earlier run's weights would be found, is removed.
    Raises `WorkspaceError` when the disk refuses.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        fresh, old = folder / ".fresh", folder / ".old"
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
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
            for leftover in (fresh, old):
                shutil.rmtree(leftover, ignore_errors=True)


def flush(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, would survive a power cut."""
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":
        return  # Windows has no such call for folders, and wants write access for files
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_tree(folder: Path) -> None:
    """`flush` everything below a folder, and the folder itself."""
    for path in (*folder.rglob("*"), folder):
        flush(path)


def hash_file(path: Path, algorithm: str | Callable[[], Any] = "sha256") -> str:
    """The hash of a file's bytes, in hexadecimal; a part of the file is in memory at a time.

    Args:
        path: Any file.
        algorithm: A name that `hashlib` knows, or a function that returns a hash object, which may
            have been fed something before.
    """
    with path.open("rb") as file:
        return str(hashlib.file_digest(file, algorithm).hexdigest())


def hash_git_blob(path: Path) -> str:
    """The hash by which git knows a file's bytes, in hexadecimal."""
    header = b"blob %d\0" % path.stat().st_size
    return hash_file(path, partial(hashlib.sha1, header, usedforsecurity=False))


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, a read-only folder and the like into a `WorkspaceError` about `path`."""
    try:
        yield
    except OSError as error:
        raise WorkspaceError(_refusal(path, error)) from error
    except Exception as error:
        from safetensors import SafetensorError  # no OSError, even when the disk is full

        if not isinstance(error, SafetensorError):
            raise
        number = _OS_ERROR.search(str(error))
        cause = OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(error)
        raise WorkspaceError(_refusal(path, cause)) from error


def _refusal(path: Path, error: OSError) -> str:
    if error.errno in FULL:
        return f"{path}: the disk is full. Free some space and run the same command again."
    if error.errno in READ_ONLY:
        return f"{path}: can't be written (read-only). Give a folder that you may write to."
    return f"{path}: can't be used ({os_reason(error)}). Give another folder."


def os_reason(error: OSError) -> str:
    """What an `OSError` says, without its number and its path, fit to be shown."""
    return without_secrets(str(error.strerror or error)).rstrip(".")
