"""Files on object stores: written completely or not at all, read in the ranges that are wanted.

A file is made in a temporary folder of this machine and then put under its name. Object stores
show a name only when all of its bytes are there; on others it is put under a temporary name and
moved.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from invdpo.curate.storage.errors import remote_errors, storage_errors
from invdpo.curate.storage.urls import is_remote, protocol

STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf", "memory"}
"""Where a put shows all of a file or nothing, and folders are only names."""


@contextmanager
def uploading(path: Path) -> Iterator[Path]:
    """A local name to write to; on leaving, the file there is put at `path`.

    When the block fails nothing is put, and an older `path` stays as it was.
    """
    with tempfile.TemporaryDirectory(prefix="invdpo-") as folder:
        temporary = Path(folder) / path.name
        with storage_errors(temporary):
            yield temporary
        with storage_errors(path):
            put(temporary, path)


def put(file: Path, path: Path) -> None:
    """Put a local file at a remote `path`, completely or not at all, with the store's errors."""
    remote: Any = path
    files = remote.fs
    if protocol(path) in STORES:
        files.put_file(str(file), remote.path)
    else:
        half: Any = remote.with_name(f".{remote.name}.tmp")
        files.makedirs(remote.parent.path, exist_ok=True)
        files.put_file(str(file), half.path)
        files.mv(half.path, remote.path)
    size, arrived = file.stat().st_size, files.info(remote.path)["size"]
    if arrived != size:
        raise OSError(f"{arrived} of {size} bytes arrived")


@contextmanager
def reading(path: Path) -> Iterator[Any]:
    """What Arrow can read a file from: a local path itself, a remote one opened."""
    if not is_remote(path):
        yield path
        return
    remote: Any = path
    # Arrow asks for the ranges it wants; reading further ahead would fetch images for nothing.
    with remote.fs.open(remote.path, "rb", cache_type="none") as file:
        yield file


def content(path: Path) -> bytes:
    """All bytes of an input file, local or remote. Raises `OSError` whatever the store raises."""
    with remote_errors(path):
        return path.read_bytes()
