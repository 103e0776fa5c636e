"""Files that are written, hashed and flushed to the disk beside the work of whoever makes them.

What Arrow encodes is handed over in memory, so its thread neither waits for the disk nor does
anyone read the files again for their hashes.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from invdpo.schemas.io.files import drop_cached, flush

AHEAD = 1 << 25
"""Bytes that may wait to be written."""
FLUSHED = 1 << 26
"""Bytes after which a file is flushed early; fewer take no time at the end."""


class HashedFiles(ExitStack):
    """Opens files for writing. On leaving, all threads have ended."""

    def __init__(self, *, cached: bool = True) -> None:
        """Without `cached`, what is on the disk does not stay in memory."""
        super().__init__()
        self._cached = cached
        self._writer, self._flusher = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        for threads in (self._flusher, self._writer):
            self.callback(threads.shutdown, cancel_futures=True)

    def open(self, path: Path) -> HashedFile:
        """A new file; what stood there is gone."""
        return HashedFile(path, self._writer, partial(self._flusher.submit, self._flush, path))

    def _flush(self, path: Path) -> None:
        flush(path)
        if not self._cached:
            drop_cached(path)


class HashedFile:
    """A file object that can only be written to, as Arrow needs one."""

    def __init__(
        self, path: Path, writer: ThreadPoolExecutor, flush: Callable[[], Future[None]]
    ) -> None:
        self.path, self._writer, self._begin_flush = path, writer, flush
        self._file, self._sha256 = path.open("wb", buffering=0), hashlib.sha256()
        self._waiting: deque[tuple[int, Future[None]]] = deque()
        self._flushes: list[Future[None]] = []
        self._ahead = self._unflushed = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        """Take bytes to be written. Raises what an earlier write raised in its thread."""
        self._wait(AHEAD - len(data))
        self._waiting.append((len(data), self._writer.submit(self._write, data)))
        self._ahead += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing; Arrow calls it."""

    def close(self) -> None:
        """Wait until all is written. Raises what a write raised in its thread."""
        if self.closed:
            return
        self.closed = True
        try:
            self._wait(0)
        finally:
            self._file.close()

    def hexdigest(self) -> str:
        """SHA-256 of a closed file. Raises what an early flush raised in its thread."""
        for task in self._flushes:
            task.result()
        return self._sha256.hexdigest()

    def _wait(self, allowed: int) -> None:
        """Until at most `allowed` bytes wait, or nothing."""
        while self._waiting and self._ahead > allowed:
            size, task = self._waiting.popleft()
            self._ahead -= size
            task.result()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._sha256.update(data)
        self._unflushed += len(data)
        if self._unflushed >= FLUSHED:
            self._unflushed = 0
            self._flushes.append(self._begin_flush())
