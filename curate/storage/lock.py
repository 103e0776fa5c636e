"""A lock on an object store: an object that says who holds it, and until when.

As good as the store allows. Where objects can be put on the condition that they are not there yet
(S3, Google, Azure), two can't take it at once. A holder renews it; one that was killed is succeeded
at once on its own machine, and elsewhere when its time is over. Clocks should agree to a minute.
Should two work at once anyway, they put the same parts, each complete: work is lost, not data.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from invdpo.schemas import DataError
from invdpo.schemas.io.documents import read_json
from invdpo.schemas.io.processes import is_alive, machine

LEASE = 120.0
"""Seconds after which a lock that was not renewed is free."""
RENEW = 30.0


class Held(Exception):
    """Somebody else holds the lock; the text says who."""


class RemoteLock:
    """Taken and given back by one process; may be nested."""

    def __init__(self, path: Path) -> None:
        self._path: Any = path
        self._token = uuid.uuid4().hex
        self._depth = 0
        self._stop = threading.Event()

    def acquire(self) -> None:
        """Raises `Held`, or what the store raises."""
        if self._depth == 0:
            self._take()
            self._stop = threading.Event()
            threading.Thread(target=self._renew, args=(self._stop,), daemon=True).start()
        self._depth += 1

    def release(self) -> None:
        """Give it back; one that was lost to somebody else stays theirs."""
        self._depth -= 1
        if self._depth == 0:
            self._stop.set()
            if self._mine():
                self._path.fs.rm_file(self._path.path)

    def _take(self) -> None:
        record = self._read()
        if record is not None and not _expired(record):
            raise Held(_holder(record))
        try:
            self._write("create" if record is None else "overwrite")
        except (OSError, NotImplementedError):
            if (record := self._read()) is not None:
                raise Held(_holder(record)) from None
            self._write("overwrite")  # the store knows no conditions, or fails again
        if not self._mine():
            raise Held(_holder(self._read() or {}))

    def _mine(self) -> bool:
        return (self._read() or {}).get("token") == self._token

    def _read(self) -> dict[str, Any] | None:
        """What the lock says; empty when it is no lock of ours, None when it is not there."""
        try:
            return read_json(self._path.fs.cat_file(self._path.path), self._path, dict)
        except FileNotFoundError:
            return None
        except DataError:
            return {}

    def _write(self, mode: str) -> None:
        says = {
            "machine": machine(),
            "host": socket.gethostname(),
            "process": os.getpid(),
            "token": self._token,
            "until": time.time() + LEASE,
        }
        self._path.fs.pipe_file(self._path.path, json.dumps(says).encode(), mode=mode)

    def _renew(self, stop: threading.Event) -> None:
        while not stop.wait(RENEW):
            with suppress(Exception):  # the next time may succeed, long before the lease is over
                if not self._mine():
                    return
                self._write("overwrite")


def _expired(record: dict[str, Any]) -> bool:
    """Whether the holder's time is over, or it is a process of this machine that has ended."""
    until, process = record.get("until"), record.get("process")
    if not isinstance(until, float) or not isinstance(process, int) or until < time.time():
        return True
    return record.get("machine") == machine() and not is_alive(process)


def _holder(record: dict[str, Any]) -> str:
    if "process" in record and "host" in record:
        return f"process {record['process']} on {record['host']}"
    return "another process"
