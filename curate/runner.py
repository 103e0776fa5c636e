"""The runner: looks what is done, has an engine make the rest, and counts.

A part that exists and was made with the same configuration is done. Every other finding (damage,
another configuration, parts too many) is refused with a text that names it and the way out.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate.candidate import IMAGE
from invdpo.curate.engines import ENGINES, InputPart, MakeStage, Outcome, Output, Task
from invdpo.curate.engines.worker import reason
from invdpo.curate.storage.cuts import count_cut, cut_note
from invdpo.curate.storage.errors import storage_errors
from invdpo.curate.storage.parts import (
    Fingerprint,
    differences,
    exists,
    list_parts,
    read_header,
    read_part,
    remove_stale,
)
from invdpo.schemas import WorkspaceError
from invdpo.schemas.io.progress import progress_bar
from invdpo.schemas.io.text import add_counts, format_counts
from invdpo.schemas.tables import OK, REJECTED


@dataclass(frozen=True)
class RunOptions:
    """How a step is run; it is in no fingerprint."""

    repair: bool = False
    """Remake damaged parts instead of refusing, and those of candidates that lack their images."""
    retry_rejected: bool = False
    """Remake parts with rejected rows, whose cause may be gone, such as a server's time-out."""
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
    """Rows of the table that carry a reason instead of a result."""
    rejections: dict[str, int] = field(default_factory=dict)
    """Reason -> rows, most frequent first."""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return asdict(self) | {"notes": list(self.notes)}

    def messages(self) -> list[str]:
        """What the user should know, a line each: the notes, and the reasons for rejections."""
        rejected = (f"{count:,} rejected: {why}" for why, count in self.rejections.items())
        return [f"{self.step}: {text}" for text in (*self.notes, *rejected)]


@dataclass(frozen=True)
class Goal:
    """One table to make, and the stage that makes it."""

    stage: str
    """Its name, by which it can be made."""
    step: str
    """What it is called for users."""
    sink: Path
    fingerprint: Fingerprint


@dataclass(frozen=True)
class Plan:
    """What of one goal is there already, and what is to be made."""

    goal: Goal
    wanted: Sequence[InputPart]
    obsolete: Sequence[Path]
    """Parts that the input no longer has; removed before the first new part is made."""
    resumed: int
    rejections: Counter[str]

    @property
    def planned(self) -> int:
        """Rows to be made."""
        return sum(part.planned for part in self.wanted)

    def output(self, part: InputPart) -> Output:
        """The file that becomes of an input part."""
        return Output(self.goal.stage, self.goal.sink / part.name, self.goal.fingerprint)


def plan_goal(source: Sequence[InputPart], goal: Goal, options: RunOptions) -> Plan:
    """Compare what is on disk with what is wanted. Changes nothing.

    Raises `WorkspaceError` when parts are damaged or of another configuration.
    """
    wanted: list[InputPart] = []
    resumed, rejections = 0, Counter[str]()
    for part in source:
        target = goal.sink / part.name
        if not is_done(target, goal.fingerprint, options) or to_retry(target, options):
            wanted.append(part)
            continue
        rows, rejected = tally(target)
        resumed += rows
        rejections += rejected
    obsolete = _obsolete(source, goal.sink, options)
    return Plan(goal, wanted, obsolete, resumed, rejections)


def run_plans(
    make_stage: MakeStage, source: Sequence[InputPart], plans: Sequence[Plan], options: RunOptions
) -> list[StepResult]:
    """Turn every part of `source` into the part of the same name of every plan's table.

    The source is read once for all plans. On a dry run nothing is made. Raises `WorkspaceError`
    when a part can't be written, and what a stage raised, once the others are done. After any
    interruption the same call continues where it stopped.
    """
    begin = time.monotonic()
    made: dict[str, list[Outcome]] = {plan.goal.stage: [] for plan in plans}
    if not options.dry_run:
        for plan in plans:
            _clear(plan)
        for outcome in _outcomes(make_stage, _tasks(source, plans), plans, options):
            made[outcome.stage].append(outcome)
        if errors := [o.error for all_of in made.values() for o in all_of if o.error is not None]:
            raise errors[0]
    whole = time.monotonic() - begin
    return [
        _result(plan, made[plan.goal.stage], options, whole if len(plans) == 1 else None)
        for plan in plans
    ]


def was_begun(plan: Plan) -> bool:
    """Whether any of the parts that were to be made is there now."""
    for output in map(plan.output, plan.wanted):
        with suppress(WorkspaceError):  # a part of another configuration may be damaged
            made = exists(output.target) and read_header(output.target)
            if made and made.fingerprint == output.fingerprint:
                return True
    return False


def _tasks(source: Sequence[InputPart], plans: Sequence[Plan]) -> list[Task]:
    """For each part the files that are wanted of it."""
    wanted = [{part.name for part in plan.wanted} for plan in plans]
    tasks = []
    for part in source:
        pairs = zip(plans, wanted, strict=True)
        if outputs := tuple(plan.output(part) for plan, names in pairs if part.name in names):
            tasks.append(Task(part, outputs))
    return tasks


def _outcomes(
    make_stage: MakeStage, tasks: Sequence[Task], plans: Sequence[Plan], options: RunOptions
) -> Iterator[Outcome]:
    if not tasks:
        return
    label = ", ".join(plan.goal.step for plan in plans if plan.wanted)
    resumed = sum(plan.resumed for plan in plans)
    total = resumed + sum(plan.planned for plan in plans)
    with progress_bar(label, total, done=resumed, show=options.progress) as bar:
        yield from ENGINES[options.engine](make_stage, tasks, bar.update)


def _result(
    plan: Plan, made: Sequence[Outcome], options: RunOptions, seconds: float | None
) -> StepResult:
    """`seconds` of the whole run, where it had this goal only; else those spent on it."""
    rejections = sum((outcome.rejections for outcome in made), Counter(plan.rejections))
    counts = format_counts(add_counts(outcome.counts for outcome in made))
    cut = 0 if options.dry_run else count_cut(plan.goal.sink)
    return StepResult(
        step=plan.goal.step,
        path=str(plan.goal.sink),
        made=sum(outcome.rows for outcome in made),
        resumed=plan.resumed,
        planned=plan.planned if options.dry_run else 0,
        rejected=rejections.total(),
        rejections=dict(rejections.most_common()),
        seconds=sum(outcome.seconds for outcome in made) if seconds is None else seconds,
        notes=tuple(filter(None, (counts, cut_note(cut) if cut else ""))),
    )


def is_done(target: Path, fingerprint: Fingerprint, options: RunOptions) -> bool:
    """Whether a part is there and as wanted; False when it is missing or may be remade.

    Raises `WorkspaceError` for a damaged part without `repair` or `overwrite`, and for one of
    another configuration without `overwrite`.
    """
    if not exists(target):
        return False
    try:
        header = read_header(target)
        if options.repair and _lacks_images(read_part(target)):
            return False
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


def _lacks_images(table: pa.Table) -> bool:
    """Whether candidates have no image, as in a workspace that was pulled without them."""
    if IMAGE not in table.column_names:
        return False
    usable = table.filter(pc.field("status") == OK)
    return bool(usable[IMAGE].null_count)


def tally(target: Path) -> tuple[int, Counter[str]]:
    """Rows of a part, and how many of them were rejected for which reason."""
    table = read_part(target, ["status", "error"])
    rejected = table.filter(pc.field("status") == REJECTED)
    return table.num_rows, Counter(reason(row) for row in rejected.to_pylist())


def to_retry(target: Path, options: RunOptions) -> bool:
    """Whether a part has rejected rows, and is to be remade for that."""
    return options.retry_rejected and bool(tally(target)[1])


def _obsolete(source: Sequence[InputPart], sink: Path, options: RunOptions) -> list[Path]:
    wanted = {part.name for part in source}
    extra = [path for path in list_parts(sink) if path.name not in wanted]
    if extra and not options.overwrite:
        raise WorkspaceError(
            f"{extra[0]}: a part that is no longer in the input ({len(extra)} in all). Use "
            "another workspace, or --overwrite to remake this step."
        )
    return extra


def _clear(plan: Plan) -> None:
    remove_stale(plan.goal.sink)
    with storage_errors(plan.goal.sink):
        for path in plan.obsolete:
            path.unlink()
