"""What can go wrong with disks and stores, as errors that a user can act on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from invdpo.curate.storage.urls import is_remote
from invdpo.schemas import InvdpoError, WorkspaceError
from invdpo.schemas.io.redact import without_secrets
from invdpo.schemas.io.text import describe

_FULL = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, a read-only folder, a store out of reach into `WorkspaceError`."""
    try:
        with remote_errors(path):
            yield
    except OSError as error:
        raise WorkspaceError(_storage_text(path, error)) from error


@contextmanager
def remote_errors(path: Path) -> Iterator[None]:
    """Turn what a store's library raises into `OSError`; of local paths all passes through."""
    try:
        yield
    except (InvdpoError, MemoryError, OSError):
        raise
    except Exception as error:
        if not is_remote(path):
            raise
        raise OSError(describe(error)) from error


def _storage_text(path: Path, error: OSError) -> str:
    reason = without_secrets(str(error.strerror or error)).rstrip(".")
    if is_remote(path):
        return f"{path}: the store says: {reason}."
    if error.errno in _FULL:
        return f"{path}: the disk is full. Free some space and run the same command again."
    if error.errno in _READ_ONLY:
        return f"{path}: can't be written (read-only). Give a folder that you may write to."
    return f"{path}: {reason}."
