"""What others do to folders: hold a lock (another thread, kept apart as processes are), or die."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from invdpo.schemas.io.files import replacing_file


@contextmanager
def held_elsewhere(lock: AbstractContextManager[Any]) -> Iterator[None]:
    taken, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            enough.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(30)
    try:
        yield
    finally:
        enough.set()
        thread.join()


def killed_while_writing(path: Path) -> Path:
    """The temporary file that a process leaves which is killed before it could name it `path`."""
    before = set(path.parent.glob("*"))
    process = os.fork()
    if process == 0:
        with replacing_file(path) as temporary:
            temporary.write_bytes(b"half")
            os._exit(9)
    os.waitpid(process, 0)
    (left,) = set(path.parent.glob("*")) - before
    return left
