"""Files that are hashed, and flushed to the disk, while they are still being written.

Both happen in threads, beside the work of the writer, so that little is left to do at its end.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from invdpo.schemas.io.files import flush

FLUSHED = 1 << 24
"""Bytes from which on a file is flushed early; fewer take no time at the end."""


class GrowingFiles(ExitStack):
    """Follows files to which their writers only append. On leaving, nothing reads them any more."""

    def __init__(self) -> None:
        super().__init__()
        self._hasher, self._flusher = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        for threads in (self._hasher, self._flusher):
            self.callback(threads.shutdown, cancel_futures=True)
        self._files: dict[Path, _HashedFile] = {}
        self._tasks: list[Future[Any]] = []

    def grown(self, path: Path, size: int = 0) -> None:
        """Take what was appended to a file since the last call, about `size` bytes."""
        file = self._files.setdefault(path, _HashedFile(path))
        self._tasks.append(self._hasher.submit(file.read_on))
        if size >= FLUSHED:
            self._tasks.append(self._flusher.submit(flush, path))

    def hashes(self) -> dict[Path, str]:
        """The SHA-256 of each file as it was when it last grew. Raises what a thread raised."""
        for task in self._tasks:
            task.result()
        return {path: file.sha256.hexdigest() for path, file in self._files.items()}


class _HashedFile:
    """The hash of a file as far as it has been read."""

    def __init__(self, path: Path) -> None:
        self._path, self._position, self.sha256 = path, 0, hashlib.sha256()

    def read_on(self) -> None:
        with self._path.open("rb", buffering=0) as file:
            file.seek(self._position)
            hashlib.file_digest(file, lambda: self.sha256)
            self._position = file.tell()
