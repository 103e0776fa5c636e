"""What an engine is given: tasks, each an input part and the files that stages make of it.

Several stages may read the same input: its rows are then read once and pass through all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from invdpo.curate.storage.parts import Fingerprint
from invdpo.schemas import InvdpoError
from invdpo.schemas.io.progress import Tick
from invdpo.schemas.plugins import Registry
from invdpo.schemas.tables import Record


class Stage(Protocol):
    """A pure step over rows; made from configuration alone, loads its model in the first call.

    `prepare` and `counts` have defaults for classes that derive from this one.
    """

    name: str
    needs: Sequence[str]
    """What of the input it reads; see `InputPart.rows`."""

    @property
    def chunk(self) -> int | None:
        """Rows it likes to be given at a time; a full part when None."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Of the rows that come out."""
        ...

    def prepare(self, row: Any, /) -> None:
        """Does what can be done for one row ahead of the call, in another thread; never raises."""
        return

    def counts(self) -> Mapping[str, float]:
        """What was counted since the last call of this method, such as questions and tokens."""
        return {}

    def __call__(self, rows: Iterable[Any], /) -> Iterator[Record]:
        """Rows out, in the order of the rows in; what can't be processed has status `rejected`."""
        ...


MakeStage = Callable[[str], Stage]
"""Makes the stage of a name; can be pickled."""


@dataclass(frozen=True)
class OnDevices:
    """Several makers of the same stages, each for a device of its own; can be pickled."""

    makers: tuple[MakeStage, ...]

    def __call__(self, name: str) -> Stage:
        """The stage on the first device."""
        return self.makers[0](name)


class InputPart(Protocol):
    """Rows that become one part; can be pickled, so that another process may read them."""

    @property
    def name(self) -> str:
        """File name of the output parts."""
        ...

    @property
    def planned(self) -> int:
        """How many rows will come out."""
        ...

    def rows(self, needs: Set[str]) -> Iterable[Any]:
        """The rows that go in, with at least what `needs` names."""
        ...


@dataclass(frozen=True)
class Output:
    """One file to make, by the stage of this name."""

    stage: str
    target: Path
    fingerprint: Fingerprint


@dataclass(frozen=True)
class Task:
    """One part to read, and the files to make of it."""

    part: InputPart
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class Outcome:
    """One file made, or why its stage gave up."""

    stage: str
    rows: int = 0
    rejections: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    error: InvdpoError | None = None
    counts: Mapping[str, float] = field(default_factory=dict)
    """What else the stage counted, such as tokens; adds up over the files."""


class Engine(Protocol):
    """Runs stages over tasks, here or elsewhere; outcomes come in any order."""

    def __call__(
        self, make_stage: MakeStage, tasks: Sequence[Task], tick: Tick
    ) -> Iterator[Outcome]:
        """Make every task's files; `tick` is called with the rows as they are done.

        A stage that raises an error of ours is left out of what follows; the others continue.
        """
        ...


ENGINES: Registry[Engine] = Registry("engine")
