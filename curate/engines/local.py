"""`local`: one part after another in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from invdpo.curate.engines.base import ENGINES, MakeStage, Outcome, Task, perform
from invdpo.curate.progress import Tick


@ENGINES.register("local")
def local(make_stage: MakeStage, tasks: Sequence[Task], tick: Tick) -> Iterator[Outcome]:
    """The default engine; needs nothing installed."""
    stage = make_stage()
    for task in tasks:
        yield perform(stage, task, tick)
