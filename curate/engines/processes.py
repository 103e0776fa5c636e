"""Parts spread over processes of this machine, one for each device.

A process holds its stages, and with them its model, and is given one part after another; it writes
the parts, and reports counts. It ends when this process ends, however that comes about.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.connection import Connection

from invdpo.curate.engines.base import MakeStage, Outcome, Task
from invdpo.curate.engines.worker import Stages, perform
from invdpo.schemas import InvdpoError
from invdpo.schemas.io.progress import Tick

PATIENCE = 10.0
"""Seconds that a process is given to end by itself."""


def spread(makers: Sequence[MakeStage], tasks: Sequence[Task], tick: Tick) -> Iterator[Outcome]:
    """Outcomes as they come. A process whose stages gave up is given no more, the others continue.

    Raises `InvdpoError` when a process dies, or fails in a way that was not foreseen.
    """
    waiting = deque(tasks)
    workers = [_Worker(number, maker) for number, maker in enumerate(makers[: len(tasks)])]
    try:
        while True:
            for worker in workers:
                if worker.free and waiting:
                    worker.give(waiting.popleft())
            busy = {worker.pipe: worker for worker in workers if worker.task is not None}
            if not busy:
                return
            for pipe in connection.wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                said = worker.hear()
                if isinstance(said, int):
                    tick(said)
                    continue
                if not said and worker.task is not None:
                    waiting.appendleft(worker.task)
                    worker.able = False
                worker.task = None
                yield from said
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process, and this end of the line to it."""

    def __init__(self, number: int, maker: MakeStage) -> None:
        context = multiprocessing.get_context("spawn")
        self._name = f"process {number + 1}"
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(maker, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.task: Task | None = None
        self.able = True
        """Has a stage that has not given up."""

    @property
    def free(self) -> bool:
        """Whether it can be given something."""
        return self.able and self.task is None

    def give(self, task: Task) -> None:
        self.task = task
        with suppress(OSError):  # its outcome is reported when its answer is asked for
            self.pipe.send(task)

    def hear(self) -> int | list[Outcome]:
        """Rows done, or at the end of a task its outcomes; none when all its stages gave up."""
        try:
            said = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join(PATIENCE)
            code = self._process.exitcode
            how = f"by signal {-code}" if code is not None and code < 0 else f"with status {code}"
            text = f"{self._name} ended {how} while working, perhaps because memory ran out."
            raise InvdpoError(f"{text} Finished parts are kept.") from None
        if isinstance(said, str):
            raise InvdpoError(f"{self._name}: {said}")
        return said  # type: ignore[no-any-return]

    def end(self) -> None:
        self.pipe.close()
        if self.task is not None:
            self._process.terminate()
        self._process.join(PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _work(maker: MakeStage, pipe: Connection) -> None:
    """In the other process: tasks in, counts and outcomes out, until the line is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent reports this end by Ctrl-C
    threading.Thread(target=_end_with_parent, daemon=True).start()
    stages = Stages(maker)
    with suppress(EOFError, OSError):
        while True:
            task: Task = pipe.recv()
            pipe.send(perform(stages, task, pipe.send))


def _end_with_parent() -> None:
    """Nobody would hold the workspace's lock for a process that lives on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
    os._exit(1)
