"""What can go wrong with stores behind an address, as errors that a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from invdpo.curate.storage.urls import is_remote
from invdpo.schemas import InvdpoError, WorkspaceError
from invdpo.schemas.io.files import disk_errors, os_reason
from invdpo.schemas.io.text import describe_error


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn a full disk, a read-only folder, a store out of reach into `WorkspaceError`."""
    if not is_remote(path):
        with disk_errors(path):
            yield
        return
    try:
        with remote_errors(path):
            yield
    except OSError as error:
        raise WorkspaceError(f"{path}: the object store reports: {os_reason(error)}.") from error


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
        raise OSError(describe_error(error)) from error
