"""`local`: one part after another in this process, or in a process for each of several devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from invdpo.curate.engines.ahead import read_ahead
from invdpo.curate.engines.base import ENGINES, MakeStage, OnDevices, Outcome, Task
from invdpo.curate.engines.spread import spread
from invdpo.curate.engines.work import Stages, Work
from invdpo.curate.progress import Tick


@ENGINES.register("local")
def local(make_stage: MakeStage, tasks: Sequence[Task], tick: Tick) -> Iterator[Outcome]:
    """The default engine; needs nothing installed."""
    if isinstance(make_stage, OnDevices):
        yield from spread(make_stage.makers, tasks, tick)
        return
    stages = Stages(make_stage)
    work: Work | None = None
    for chunk in read_ahead(tasks, stages):
        if work is None or chunk.first:
            work = Work(stages, chunk.task, tick)
        work.feed(chunk.rows)
        if chunk.last:
            yield from work.finish()
