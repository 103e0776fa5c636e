"""The runner: looks what is done, has an engine make the rest, and counts.

A part that exists and was made with the same configuration is done. Every other finding (damage,
another configuration, parts too many) is refused with a text that names it and the way out.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from invdpo.curate.engines import ENGINES, InputPart, MakeStage, Task
from invdpo.curate.engines.base import reason
from invdpo.curate.parts import (
    Fingerprint,
    differences,
    list_parts,
    read_header,
    read_part,
    remove_stale,
    storage_errors,
)
from invdpo.curate.progress import progress
from invdpo.schemas import WorkspaceError
from invdpo.schemas.tables import REJECTED


@dataclass(frozen=True)
class RunOptions:
    """How a step is run; none of it changes what comes out."""

    repair: bool = False
    """Remake damaged parts instead of refusing."""
    overwrite: bool = False
    """Remake parts made with another configuration instead of refusing."""
    dry_run: bool = False
    """Check and count only."""
    engine: str = "local"
    part_size: int | None = None
    """Prompts a part of candidates; as the workspace has it, or fitting the batch, when None."""
    progress: bool = True


@dataclass(frozen=True)
class StepResult:
    """What a step did; counts are rows."""

    step: str
    path: str
    made: int = 0
    resumed: int = 0
    """Found done."""
    planned: int = 0
    """Still to be made; 0 unless it was a dry run."""
    rejected: int = 0
    """Rows of the whole table that carry a reason instead of a result."""
    rejections: dict[str, int] = field(default_factory=dict)
    """Reason -> rows, most frequent first."""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return asdict(self) | {"notes": list(self.notes)}


@dataclass(frozen=True)
class Plan:
    """What is to be made, and what is there already."""

    step: str
    sink: Path
    tasks: Sequence[Task]
    obsolete: Sequence[Path]
    """Parts that the input no longer has; removed before the first new part is made."""
    resumed: int
    rejections: Counter[str]
    options: RunOptions

    @property
    def planned(self) -> int:
        """Rows to be made."""
        return sum(task.part.planned for task in self.tasks)


def run_stage(
    make_stage: MakeStage,
    source: Sequence[InputPart],
    sink: Path,
    fingerprint: Fingerprint,
    options: RunOptions,
    *,
    step: str,
) -> StepResult:
    """Turn every part of `source` into the part of the same name in `sink`.

    Raises `WorkspaceError` when parts on disk are damaged or of another configuration, or can't be
    written. After any interruption the same call goes on where it stopped.
    """
    return run_plan(make_stage, plan_stage(source, sink, fingerprint, options, step=step))


def plan_stage(
    source: Sequence[InputPart],
    sink: Path,
    fingerprint: Fingerprint,
    options: RunOptions,
    *,
    step: str,
) -> Plan:
    """Look at what is there. Changes nothing; raises as `run_stage` does."""
    tasks: list[Task] = []
    resumed, rejections = 0, Counter[str]()
    for part in source:
        target = sink / part.name
        if is_done(target, fingerprint, options):
            rows, rejected = tally(target)
            resumed += rows
            rejections += rejected
        else:
            tasks.append(Task(part, target, fingerprint))
    obsolete = _obsolete(source, sink, options)
    return Plan(step, sink, tasks, obsolete, resumed, rejections, options)


def run_plan(make_stage: MakeStage, plan: Plan) -> StepResult:
    """Make what the plan says; on a dry run only tell it."""
    begin = time.monotonic()
    rejections = Counter(plan.rejections)
    made = 0
    if not plan.options.dry_run:
        _clear(plan)
        engine = ENGINES[plan.options.engine]
        total = plan.resumed + plan.planned
        show = plan.options.progress and bool(plan.tasks)
        with progress(plan.step, total, plan.resumed, show=show) as tick:
            for outcome in engine(make_stage, plan.tasks, tick) if plan.tasks else ():
                made += outcome.rows
                rejections += outcome.rejections
    return StepResult(
        step=plan.step,
        path=str(plan.sink),
        made=made,
        resumed=plan.resumed,
        planned=plan.planned if plan.options.dry_run else 0,
        rejected=rejections.total(),
        rejections=dict(rejections.most_common()),
        seconds=time.monotonic() - begin,
    )


def is_done(target: Path, fingerprint: Fingerprint, options: RunOptions) -> bool:
    """Whether a part is there and as wanted; False when it is missing or may be remade.

    Raises `WorkspaceError` for a damaged part without `repair` or `overwrite`, and for one of
    another configuration without `overwrite`.
    """
    if not target.exists():
        return False
    try:
        header = read_header(target)
        if options.repair:
            read_part(target)
    except WorkspaceError:
        if options.repair or options.overwrite:
            return False
        raise
    differing = differences(header.fingerprint, fingerprint)
    if differing and not options.overwrite:
        lines = "\n  ".join(differing)
        raise WorkspaceError(
            f"{target}: made with another configuration.\n  {lines}\n"
            "Use another workspace, or --overwrite to remake this step."
        )
    return not differing


def tally(target: Path) -> tuple[int, Counter[str]]:
    """Rows of a part, and how many of them were rejected for which reason."""
    table = read_part(target, ["status", "error"])
    rejected = table.filter(pc.field("status") == REJECTED)
    return table.num_rows, Counter(reason(row) for row in rejected.to_pylist())


def _obsolete(source: Sequence[InputPart], sink: Path, options: RunOptions) -> list[Path]:
    wanted = {part.name for part in source}
    extra = [path for path in list_parts(sink) if path.name not in wanted]
    if extra and not options.overwrite:
        raise WorkspaceError(
            f"{extra[0]}: a part that the input no longer has ({len(extra)} in all). "
            "Use another workspace, or --overwrite to remake this step."
        )
    return extra


def _clear(plan: Plan) -> None:
    remove_stale(plan.sink)
    with storage_errors(plan.sink):
        for path in plan.obsolete:
            path.unlink()
