"""The work of one task: chunks of rows pass through its stages, and files come out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import pyarrow as pa

from invdpo.curate.engines.base import MakeStage, Outcome, Output, Stage, Task
from invdpo.curate.storage.cuts import CUT_PROMPT, NUM_CUT
from invdpo.curate.storage.parts import write_part
from invdpo.schemas import InvdpoError
from invdpo.schemas.io.progress import Tick
from invdpo.schemas.io.text import describe_error
from invdpo.schemas.tables import REJECTED, Record


class Stages:
    """The stages of a process, made when first asked for, and those that gave up."""

    def __init__(self, make: MakeStage) -> None:
        self._make = make
        self._made: dict[str, Stage] = {}
        self.broken: set[str] = set()

    def __getitem__(self, name: str) -> Stage:
        """The stage of that name; it keeps its model from task to task."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def sound(self, task: Task) -> list[Stage]:
        """The stages of a task that have not given up."""
        return [self[o.stage] for o in task.outputs if o.stage not in self.broken]


def chunks(task: Task, stages: Sequence[Stage]) -> Iterator[list[Any]]:
    """The task's rows, as many at a time as the stages like; at least one chunk, perhaps empty."""
    sizes = [stage.chunk for stage in stages if stage.chunk is not None]
    size = max(sizes) if len(sizes) == len(stages) else None
    rows = iter(task.part.rows({name for stage in stages for name in stage.needs}))
    yield list(islice(rows, size))
    while chunk := list(islice(rows, size)):
        yield chunk


class Work:
    """One task under way."""

    def __init__(self, stages: Stages, task: Task, tick: Tick) -> None:
        self._stages = stages
        self._files = [_File(output, tick) for output in task.outputs]

    def feed(self, chunk: Sequence[Any]) -> None:
        """Pass some rows through every stage that has not given up."""
        for file in self._files:
            if file.stage in self._stages.broken:
                continue
            try:
                file.take(self._stages[file.stage](chunk))
            except InvdpoError as error:
                self._stages.broken.add(file.stage)
                file.error = error

    def finish(self) -> Iterator[Outcome]:
        """Write the files, each completely or not at all, and report what they came to."""
        for file in self._files:
            if file.error is not None:
                yield Outcome(file.stage, error=file.error)
            elif file.stage not in self._stages.broken:
                stage = self._stages[file.stage]
                yield replace(file.write(stage.schema), counts=stage.counts())


class _File:
    """The rows of one file to be."""

    def __init__(self, output: Output, tick: Tick) -> None:
        self.stage = output.stage
        self.error: InvdpoError | None = None
        self._output, self._tick = output, tick
        self._rows: list[Record] = []
        self._rejections: Counter[str] = Counter()
        self._cut: set[str] = set()
        self._seconds = 0.0

    def take(self, rows: Iterable[Record]) -> None:
        begin = time.monotonic()
        for row in rows:
            if row.get("status") == REJECTED:
                self._rejections[reason(row)] += 1
            if prompt := row.get(CUT_PROMPT):
                self._cut.add(prompt)
            self._rows.append(row)
            self._tick(1)
        self._seconds += time.monotonic() - begin

    def write(self, schema: pa.Schema) -> Outcome:
        begin = time.monotonic()
        table = pa.Table.from_pylist(self._rows, schema)
        notes = {NUM_CUT: len(self._cut)} if self._cut else {}
        write_part(self._output.target, table, self._output.fingerprint, notes)
        seconds = self._seconds + time.monotonic() - begin
        return Outcome(self.stage, len(self._rows), self._rejections, seconds)


def perform(stages: Stages, task: Task, tick: Tick) -> list[Outcome] | str:
    """One task from beginning to end, in this thread; in words what stopped all of it, if so.

    The words are for the process that waits for it, which then ends the run.
    """
    try:
        work = Work(stages, task, tick)
        if sound := stages.sound(task):
            for chunk in chunks(task, sound):
                work.feed(chunk)
        return list(work.finish())
    except InvdpoError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - the other process reports it
        return f"{describe_error(error)}. This is unexpected."


def reason(row: dict[str, Any]) -> str:
    """Why a row was rejected, without the place that ` (line 7)` names, so that equals add up."""
    text = str(row.get("error") or "no reason given")
    head, bracket, _ = text.rpartition(" (line ")
    return head if bracket else text
