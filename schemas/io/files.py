"""Files of this machine: written atomically, on the disk when a function returns, hashed.

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
from functools import lru_cache, partial
from pathlib import Path
from threading import get_ident
from typing import Any

from invdpo.schemas.errors import WorkspaceError
from invdpo.schemas.io.processes import is_alive, machine
from invdpo.schemas.io.redact import without_secrets

FULL = (errno.ENOSPC, errno.EDQUOT)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
ABANDONED = 3600.0
"""Seconds without a change after which a temporary file is taken for a killed process's."""
FRESH, OLD = ".fresh", ".old"
"""Folders in which `replace_contents` prepares, and keeps what it replaces until it is done."""
_TEMPORARY = re.compile(r"\..+\.(?:([0-9a-f]{8})-)?(\d+)-\d+\.tmp")
"""Names of temporary files: machine, process, thread; those of earlier versions lack the first."""
_OS_ERROR = re.compile(r"(?:\(os error |\[Errno )(\d+)[\])]")
"""How libraries written in Rust, and lists of errors, note the system's number of an error."""


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
    temporary = path.with_name(f".{path.name}.{_writer()}.tmp")
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


def remove_abandoned(folder: Path, pattern: str = ".*.tmp") -> None:
    """Remove temporary files whose writer has ended.

    Of a writer on another machine nothing is known: what changed in the last hour may be in use.
    """
    for path in folder.glob(pattern):
        with suppress(OSError):  # its writer may just have given it its name
            if (name := _TEMPORARY.fullmatch(path.name)) and path.is_file():
                ended = name[1] == _machine_hash() and not is_alive(int(name[2]))
                if ended or time.time() - path.stat().st_mtime > ABANDONED:
                    path.unlink()


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left in a folder that no other process writes to now."""
    remove_abandoned(folder)
    for name in (FRESH, OLD):
        shutil.rmtree(folder / name, ignore_errors=True)


def _writer() -> str:
    return f"{_machine_hash()}-{os.getpid()}-{get_ident()}"


@lru_cache(maxsize=1)
def _machine_hash() -> str:
    return hashlib.sha256(machine().encode()).hexdigest()[:8]


def ensure_writable(folder: Path) -> None:
    """Raise `WorkspaceError` when nothing can be written in `folder`, which need not be there."""
    parent = existing_parent(folder)
    with disk_errors(folder):
        probe = parent / f".invdpo.{_writer()}.tmp"
        probe.touch()
        probe.unlink()


def existing_parent(folder: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    while not folder.exists():
        folder = folder.parent
    return folder


def free_bytes(folder: Path) -> int:
    """Free bytes of the disk on which `folder` is, or will be."""
    return shutil.disk_usage(existing_parent(folder)).free


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
        fresh, old = folder / FRESH, folder / OLD
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir()
        try:
            fill(fresh)
            plain_modes(fresh)
            flush_tree(fresh)
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


def drop_cached(path: Path) -> None:
    """Let the system forget what it holds of a file in memory, as far as that is on the disk.

    For files of more bytes than memory should be given to, of which none is needed again soon.
    """
    if hasattr(os, "posix_fadvise"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def flush_tree(folder: Path) -> None:
    """`flush` everything below a folder, and the folder itself."""
    for path in (*folder.rglob("*"), folder):
        flush(path)


def plain_modes(folder: Path) -> None:
    """Give all below `folder`, which `mkdir` made, the modes of new files and folders.

    Libraries write through temporary files that their owner alone may read, and copies keep the
    modes of where they come from.
    """
    mode = folder.stat().st_mode & 0o777
    for path in folder.rglob("*"):
        if not path.is_symlink():
            now = path.stat().st_mode
            wanted = mode if path.is_dir() else mode & (0o666 | now & 0o111)
            if now & 0o777 != wanted:
                path.chmod(wanted)


def hash_file(path: Path, algorithm: str | Callable[[], Any] = "sha256") -> str:
    """The hash of a file's bytes, in hexadecimal; a part of the file is in memory at a time.

    Args:
        path: Any file.
        algorithm: A name that `hashlib` knows, or a function that returns a hash object, which may
            have been fed something before.
    """
    with path.open("rb") as file:
        return str(hashlib.file_digest(file, algorithm).hexdigest())


def git_hasher(size: int) -> Callable[[], Any]:
    """For `hash_file`: the hash by which git knows a file of `size` bytes."""
    return partial(hashlib.sha1, b"blob %d\0" % size, usedforsecurity=False)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, a read-only folder and the like into a `WorkspaceError` about `path`."""
    try:
        yield
    except OSError as error:
        raise WorkspaceError(_refusal(path, _numbered(error))) from error
    except Exception as error:
        from safetensors import SafetensorError  # no OSError, even when the disk is full

        if not isinstance(error, SafetensorError):
            raise
        raise WorkspaceError(_refusal(path, _numbered(error))) from error


def _numbered(error: Exception) -> OSError:
    """The system's error, also where a library gives its number in the text alone."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    if found := _OS_ERROR.search(str(error)):
        number = int(found[1])
        return OSError(number, os.strerror(number))
    return error if isinstance(error, OSError) else OSError(error)


def _refusal(path: Path, error: OSError) -> str:
    if error.errno in FULL:
        return f"{path}: the disk is full. Free some space and run the same command again."
    if error.errno in READ_ONLY:
        return f"{path}: can't be written (read-only). Give a folder with write access."
    return f"{path}: can't be used ({os_reason(error)}). Give another folder."


def os_reason(error: OSError) -> str:
    """What an `OSError` says, without its number and its path, fit to be shown."""
    return without_secrets(str(error.strerror or error)).rstrip(".")
