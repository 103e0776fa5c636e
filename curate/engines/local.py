"""`local`: one part after another in this process, or in a process for each of several devices.

While one chunk is worked on, the next ones are read and prepared by other threads.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from invdpo.curate.engines.base import ENGINES, MakeStage, OnDevices, Outcome, Stage, Task
from invdpo.curate.engines.processes import spread
from invdpo.curate.engines.worker import Stages, Work, chunks
from invdpo.schemas.io.progress import Tick

PREFETCHED = 2
"""Chunks that are read and prepared before they are wanted."""


@dataclass(frozen=True)
class Chunk:
    """Some rows of a task, ready to be worked on."""

    task: Task
    rows: Sequence[Any]
    first: bool
    last: bool


def prefetch_chunks(tasks: Sequence[Task], stages: Stages) -> Iterator[Chunk]:
    """The rows of all tasks in order, prepared; at most `PREFETCHED` chunks wait in memory.

    Rows are read by one thread, lest files and tables be in memory several times.
    """
    workers = max(1, min(8, os.cpu_count() or 1))
    reader = ThreadPoolExecutor(1, "read")
    preparer = ThreadPoolExecutor(workers, "prepare")
    source = _chunks(tasks, stages)

    def next_one() -> tuple[Chunk, list[Future[None]]] | None:
        chunk = next(source, None)
        if chunk is None:
            return None
        sound = stages.sound(chunk.task)
        return chunk, [preparer.submit(_prepare, sound, row) for row in chunk.rows]

    waiting = deque(reader.submit(next_one) for _ in range(PREFETCHED))
    try:
        while (ready := waiting.popleft().result()) is not None:
            chunk, prepared = ready
            for future in prepared:
                future.result()
            waiting.append(reader.submit(next_one))
            yield chunk
    finally:
        reader.shutdown(cancel_futures=True)
        preparer.shutdown(cancel_futures=True)


def _chunks(tasks: Sequence[Task], stages: Stages) -> Iterator[Chunk]:
    for task in tasks:
        sound = stages.sound(task)
        if not sound:
            yield Chunk(task, (), first=True, last=True)
            continue
        first, held = True, None
        for rows in chunks(task, sound):
            if held is not None:
                yield Chunk(task, held, first, last=False)
                first = False
            held = rows
        yield Chunk(task, held or (), first, last=True)


def _prepare(stages: Sequence[Stage], row: Any) -> None:
    for stage in stages:
        stage.prepare(row)


@ENGINES.register("local")
def local(make_stage: MakeStage, tasks: Sequence[Task], tick: Tick) -> Iterator[Outcome]:
    """The default engine; needs nothing installed."""
    if isinstance(make_stage, OnDevices):
        yield from spread(make_stage.makers, tasks, tick)
        return
    stages = Stages(make_stage)
    work: Work | None = None
    for chunk in prefetch_chunks(tasks, stages):
        if work is None or chunk.first:
            work = Work(stages, chunk.task, tick)
        work.feed(chunk.rows)
        if chunk.last:
            yield from work.finish()
