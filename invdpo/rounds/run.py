"""`improve`: rounds of generating, judging, pairing and training, each with the previous model."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from invdpo.curate.runner import RunOptions
from invdpo.curate.storage.parts import read_header
from invdpo.rounds.changes import changes_of
from invdpo.rounds.checks import (
    open_record,
    require_comparable,
    require_figure,
    require_judges,
    require_prompts,
    revision_of,
)
from invdpo.rounds.record import Record, RoundResult
from invdpo.rounds.round_plan import BASE, RoundPlan, pipeline_class
from invdpo.rounds.round_training import train_round
from invdpo.rounds.stopping import (
    best_round,
    difference,
    has_figure,
    lower_is_better,
    main_figure,
    no_pairs,
    reason_to_stop,
    shown_figures,
    unlike_prompts,
    value,
)
from invdpo.schemas import DataError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import dump_config
from invdpo.schemas.io.documents import read_file, read_json
from invdpo.schemas.io.files import write_atomically
from invdpo.schemas.io.lock import FolderLock
from invdpo.workspace import run_steps

Note = Callable[[str], None]


@dataclass(frozen=True)
class Improvement:
    """The models that were evaluated, and which is the best on the validation prompts."""

    plan: RoundPlan
    results: tuple[RoundResult, ...]
    """The base model first; each with the pairs and the cost since the one before."""
    stopped: str = ""
    """Why there are fewer rounds than asked for."""
    changes: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """Round -> the options that changed with it, a line each."""

    @property
    def best(self) -> RoundResult:
        """The best model on the validation prompts."""
        return best_round(self.results, self.plan.config)

    @property
    def warning(self) -> str:
        """What to know before figures are compared; empty where nothing is."""
        return unlike_prompts(self.results, self.plan.config)

    def rows(self) -> list[dict[str, Any]]:
        """One row per model, for a table: its figures with their 95 % intervals, and its cost.

        `gain` is the main figure's difference from the base model, paired by prompt.
        """
        names, main = shown_figures(self.results, self.plan.config), main_figure(self.plan.config)
        firsts = [0, *(result.number + 1 for result in self.results[:-1])]
        return [
            {
                "round": result.number,
                "model": result.model,
                "guidance_scale": result.guidance_scale,
                "figures": {name: value(result, name)._asdict() for name in names},
                "gain": _gain(self.results[0], result, main),
                "diversity": result.judgement["diversity"],
                "statistics": result.judgement["statistics"],
                "pairs": result.pairs,
                "prompts": result.prompts,
                "prompts_with_pair": result.prompts_with_pair,
                "seconds": sum(v for k, v in result.cost.items() if k.endswith("_seconds")),
                "forwards": sum(v for k, v in result.cost.items() if k.endswith("_forwards")),
                "cost": dict(result.cost),
                "changed": [
                    change
                    for number in range(first, result.number + 1)
                    for change in self.changes.get(number, ())
                ],
            }
            for first, result in zip(firsts, self.results, strict=True)
        ]


def _gain(base: RoundResult, result: RoundResult, figure: str) -> dict[str, float] | None:
    gain = difference(base, result, figure) if result.number else None
    return gain._asdict() if gain else None


def improve(
    root: Path,
    config: Config,
    options: RunOptions,
    note: Note,
    *,
    change_options: bool = False,
    command: str | None = None,
) -> Improvement:
    """Run what is missing of the rounds; finished work of an earlier run is kept.

    `change_options`: whether the rounds that are left may have other options than those before.
    `command`: what the user typed, for a refusal.
    Raises what the steps raise; `WorkspaceError` for rounds that another configuration made, or of
    which a model is gone or changed; `DataError` for prompts that don't suffice, and for a first
    round without a pair. A later one without a pair ends the rounds.
    """
    plan = RoundPlan(root, config)
    with FolderLock(root, "improving a model there"):
        record = open_record(plan, change_options=change_options)
        require_judges(plan, record, command=command)
        require_comparable(plan, record)
        require_prompts(plan, record)
        for result in record.evaluated:
            require_figure(plan, result)
        write_atomically(root / "invdpo.yaml", dump_config(config).encode())
        if record.results:
            record.write(root)
        if changes := changes_of(record, len(record.results)):
            note(f"From round {len(record.results)} on: {', '.join(changes)}")
        if not record.results:
            note("Base model: evaluate it on the validation prompts")
            record = _keep(plan, record, _evaluated(plan, _model(plan, BASE), options, note))
        stopped = ""
        for number in range(len(record.results), config.improve.rounds + 1):
            if stopped := reason_to_stop(record.evaluated, config):
                break
            try:
                result = _round(plan, number, record.used_prompts, options, note)
            except DataError:
                if number > 1 and (stopped := no_pairs(plan, number)):
                    break
                raise
            record = _keep(plan, record, result)
        record = _with_last_evaluated(plan, record, options, note)
    return improvement_of(plan, record, stopped)


def improvement_of(plan: RoundPlan, record: Record, stopped: str = "") -> Improvement:
    """What a record says."""
    changes = {result.number: changes_of(record, result.number) for result in record.results}
    return Improvement(plan, record.evaluated, stopped, changes)


class Costs:
    """What a round has spent so far, by what it was spent on; kept in a file for a later run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.values: dict[str, float] = {}
        if path.exists():
            self.values = read_json(read_file(path), path, dict)

    @contextmanager
    def time(self, what: str) -> Iterator[None]:
        """Count the seconds of what is done inside."""
        began = time.perf_counter()
        try:
            yield
        finally:  # what failed or was interrupted took its time, too
            name = f"{what}_seconds"
            self.set(name, self.values.get(name, 0) + time.perf_counter() - began)

    def set(self, what: str, amount: float) -> None:
        """Keep an amount."""
        self.values[what] = round(amount, 3)
        write_atomically(self._path, json.dumps(self.values).encode())


def _keep(plan: RoundPlan, record: Record, result: RoundResult) -> Record:
    """The record with one more result, written. Raises `DataError` for one without a figure."""
    if result.judgement:
        require_figure(plan, result)
    longer = replace(record, results=(*record.results, result))
    longer.write(plan.root)
    return longer


def _round(plan: RoundPlan, number: int, used: int, options: RunOptions, note: Note) -> RoundResult:
    """All steps of one round; `used` prompts were those of earlier ones."""
    costs, total = Costs(plan.costs(number)), plan.config.improve.rounds
    note(f"Round {number} of {total}: generate, annotate, score and pair")
    report = _curate(plan, number, used, options, costs, note)
    note(f"Round {number} of {total}: train on the pairs")
    with costs.time("train"):
        trained = train_round(plan, number, note)
    if trained["trajectory_forwards"]:
        costs.set("inversion_forwards", trained["trajectory_forwards"])
    costs.set("train_forwards", trained["forwards"])
    result = replace(
        _model(plan, number),
        pairs=report["pairs"]["total"],
        trained_pairs=trained["pairs"],
        prompts=report["prompts"]["total"],
        prompts_read=read_header(plan.workspace(number).prompts_path).notes.get("read"),
        prompts_with_pair=report["prompts"]["paired"],
        cost=costs.values,
    )
    if not plan.evaluates(number):
        return result
    note(f"Round {number} of {total}: evaluate the new model on the validation prompts")
    return _evaluated(plan, result, options, note)


def _curate(
    plan: RoundPlan, number: int, used: int, options: RunOptions, costs: Costs, note: Note
) -> dict[str, Any]:
    """The workspace of a round, up to its dataset; the report of the pairing."""
    ws, config = plan.workspace(number), plan.curation(number, used)
    if options.retry_rejected and plan.tuned(number).exists():
        note(f"Round {number}: its training has begun, so its rejected rows stay")
        options = replace(options, retry_rejected=False)
    note = _titled(note, f"Round {number}")
    with costs.time("generate"):
        *_, drawn = run_steps(("prompts", "generate"), ws, config, options, note)
    costs.set("generate_forwards", _forwards(config, drawn.made + drawn.resumed))
    with costs.time("judge"):
        run_steps(("annotate", "score"), ws, config, options, note)
    (paired,) = run_steps(("pair",), ws, config, options, note)
    if paired.made:  # with rejected rows tried again, say
        shutil.rmtree(plan.merged_pairs(number), ignore_errors=True)
    return read_json(read_file(ws.report_path), ws.report_path, dict)


def _titled(note: Note, title: str) -> Note:
    return lambda text: note(f"{title}: {text}")


def _forwards(config: Config, images: int) -> int:
    """Forwards of the denoiser for generation, including those of guidance."""
    from invdpo.curate.generators.guidance import passes

    generate = config.generate
    calls = passes(pipeline_class(generate.model), generate.guidance_scale)
    return images * generate.num_inference_steps * calls


def _model(plan: RoundPlan, number: int) -> RoundResult:
    """The model of a round, before it is evaluated."""
    name = str(plan.tuned(number).relative_to(plan.root)) if number else plan.config.generate.model
    lower = lower_is_better(plan.config.score.scorers, plan.config)
    return RoundResult(number, name, revision_of(plan, number), {}, lower_is_better=lower)


def _evaluated(
    plan: RoundPlan, result: RoundResult, options: RunOptions, note: Note
) -> RoundResult:
    """The model of a round on the validation prompts, at the guidance that suits it best."""
    from invdpo.curate.evaluation.judgement import judge_model

    number, judged = result.number, []
    title = f"Round {number}, validation" if number else "Base model"
    costs = Costs(plan.costs(number))
    for scale in plan.config.improve.validation_guidance_scales or (None,):
        with costs.time("validation"):
            ws, config = plan.validation(number, scale), plan.judging(number, scale)
            where = title if scale is None else f"{title} at guidance {scale:g}"
            judgement = judge_model(ws, config, options, _titled(note, where)).to_dict()
        judged.append(replace(result, judgement=judgement, guidance_scale=scale))
    figure = main_figure(plan.config)
    comparable = [result for result in judged if has_figure(result, figure)]
    best = best_round(comparable, plan.config) if comparable else judged[0]
    scales = {f"{r.guidance_scale:g}": r for r in judged if r.guidance_scale is not None}
    diversities = {scale: one.judgement["diversity"] for scale, one in scales.items()}
    return replace(best, cost=costs.values, diversities=diversities)


def _with_last_evaluated(
    plan: RoundPlan, record: Record, options: RunOptions, note: Note
) -> Record:
    """The record, whose last model is evaluated even where its number is not yet due."""
    *before, last = record.results
    if last.judgement:
        return record
    note(f"Round {last.number}: evaluate the last model on the validation prompts")
    earlier = replace(record, results=tuple(before))
    return _keep(plan, earlier, _evaluated(plan, last, options, note))
