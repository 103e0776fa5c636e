"""What an engine is given: tasks, each an input part and the file its output becomes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from invdpo.curate.parts import Fingerprint, write_part
from invdpo.curate.progress import Tick
from invdpo.schemas.plugins import Registry
from invdpo.schemas.tables import REJECTED, Record


class Stage(Protocol):
    """A pure step over rows; made from configuration alone, loads its model in the first call."""

    name: str

    @property
    def schema(self) -> pa.Schema:
        """Of the rows that come out."""
        ...

    def __call__(self, rows: Iterable[Record]) -> Iterator[Record]:
        """Rows out, in the order of the rows in; what can't be processed has status `rejected`."""
        ...


MakeStage = Callable[[], Stage]


class InputPart(Protocol):
    """Rows that become one part; can be pickled, so that another process may read them."""

    @property
    def name(self) -> str:
        """File name of the output part."""
        ...

    @property
    def planned(self) -> int:
        """How many rows will come out."""
        ...

    def rows(self) -> Iterable[Record]:
        """The rows that go in."""
        ...


@dataclass(frozen=True)
class Task:
    """One part to make."""

    part: InputPart
    target: Path
    fingerprint: Fingerprint


@dataclass(frozen=True)
class Outcome:
    """One part made."""

    rows: int
    rejections: Counter[str]
    seconds: float


class Engine(Protocol):
    """Runs a stage over tasks, here or elsewhere; outcomes come in any order."""

    def __call__(
        self, make_stage: MakeStage, tasks: Sequence[Task], tick: Tick
    ) -> Iterator[Outcome]:
        """Make every task's part; `tick` is told the rows as they are done."""
        ...


ENGINES: Registry[Engine] = Registry("engine")


def perform(stage: Stage, task: Task, tick: Tick) -> Outcome:
    """Run the stage over one part and write what comes out, whole or not at all."""
    begin = time.monotonic()
    made = _Counting(tick)
    rows = list(made.watch(stage(task.part.rows())))
    write_part(task.target, pa.Table.from_pylist(rows, stage.schema), task.fingerprint)
    return Outcome(len(rows), made.rejections, time.monotonic() - begin)


@dataclass
class _Counting:
    tick: Tick
    rejections: Counter[str] = field(default_factory=Counter)

    def watch(self, rows: Iterator[Record]) -> Iterator[Record]:
        for row in rows:
            if row.get("status") == REJECTED:
                self.rejections[reason(row)] += 1
            self.tick(1)
            yield row


def reason(row: dict[str, Any]) -> str:
    """Why a row was rejected, without the place that ` (line 7)` names, so that equals add up."""
    text = str(row.get("error") or "no reason given")
    head, bracket, _ = text.rpartition(" (line ")
    return head if bracket else text
