"""One function a command: reads its tables, has the runner make the next one, says what it did.

Every step takes the workspace's lock, checks all before it changes anything, and resumes where an
interrupted run of it stopped. The fingerprint of a table holds those of the tables before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from invdpo.curate.annotate import Annotate
from invdpo.curate.annotators.judges import (
    check_judges,
    made_before,
    require_choice,
    require_chosen,
    step_commands,
    unchosen,
)
from invdpo.curate.candidate import OBSERVED
from invdpo.curate.devices import S, for_each_device
from invdpo.curate.engines import InputPart, MakeStage, OnDevices, Stage
from invdpo.curate.fingerprints import descendant, fingerprint_of, missing_parts, part_size
from invdpo.curate.generate import Generate
from invdpo.curate.generators.specs import model_specs
from invdpo.curate.inputs import CandidatePart, cut
from invdpo.curate.pair import pair_workspace, require_scores
from invdpo.curate.prompts import collect
from invdpo.curate.prompts.base import selection
from invdpo.curate.prompts.fingerprint import make_source, prompts_fingerprint, without_asking
from invdpo.curate.runner import (
    Goal,
    RunOptions,
    StepResult,
    is_done,
    plan_goal,
    run_plans,
    tally,
    to_retry,
    was_begun,
)
from invdpo.curate.score import Score
from invdpo.curate.storage.parts import Fingerprint, read_header, remove_stale, write_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError
from invdpo.schemas.config import Config
from invdpo.schemas.config.annotate import AnnotateConfig
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.io.text import count_noun, format_counts
from invdpo.schemas.tables import OK, PROMPTS, Record, with_categories


def make_prompts(ws: Workspace, config: Config, options: RunOptions) -> StepResult:
    """Write the table of prompts. Raises `DataError` when the source has none that can be used."""
    begin = time.monotonic()
    source, silent = make_source(config.prompts), without_asking(config.prompts)
    counts: tuple[str, ...] = ()
    asked = config.prompts.num_prompts
    with _working(ws, config, options, "prompts"):
        made = 0
        fingerprint = prompts_fingerprint(ws.prompts_path, config.prompts, source)
        done = is_done(ws.prompts_path, fingerprint, options)
        if not done or to_retry(ws.prompts_path, options):
            drafts = silent() if options.dry_run else source()
            chosen = selection(config.prompts, asked=not options.dry_run)
            rows, doubled, read, small = collect(drafts, source.name, asked, **chosen)
            counts = tuple(filter(None, [format_counts(source.counts())]))
            _require_prompts(config, rows)
            made = len(rows)
            if options.dry_run:
                return StepResult("prompts", str(ws.prompts_path), planned=made)
            ws.save_config(config)
            remove_stale(ws.root)
            by_category = any(row["category"] for row in rows)
            table = pa.Table.from_pylist(rows, with_categories(PROMPTS) if by_category else PROMPTS)
            told = {"doubled": doubled, "read": read, "small": small}
            write_part(ws.prompts_path, table, fingerprint, told)
        result = _prompts_result(ws, config, made)
    notes = (*result.notes, *counts)
    return replace(result, notes=notes, seconds=time.monotonic() - begin)


def _require_prompts(config: Config, rows: Sequence[Record]) -> None:
    source = config.prompts.path or config.prompts.source
    if not rows:
        least = config.prompts.min_objects
        kind = f" with {count_noun(least, 'object')} or more in their scene graph" if least else ""
        raise DataError(f"{source}: no prompts{kind} found.")
    if all(row["status"] != OK for row in rows):
        raise DataError(f"{source}: none of {len(rows)} prompts can be used ({rows[0]['error']}).")


def _prompts_result(ws: Workspace, config: Config, made: int) -> StepResult:
    asked = config.prompts.num_prompts
    rows, rejections = tally(ws.prompts_path)
    told = read_header(ws.prompts_path).notes
    doubled, small = (told.get(name, 0) for name in ("doubled", "small"))
    notes = [f"{count_noun(doubled, 'duplicate prompt')} dropped"] if doubled else []
    found = count_noun(rows, "distinct prompt")
    fewer = f"; {small} left out with fewer objects than --min-objects asks for" if small else ""
    notes += [f"{found} found, {asked} asked for{fewer}"] if rows < asked else []
    graphs = rows - ws.read_table(ws.prompts_path, ["graph"])["graph"].null_count
    if graphs < rows and "composition" in config.score.scorers:
        others = "a scene graph; `composition` has no score for the others"
        notes.append(f"{graphs} of {rows} prompts have {others}")
    return StepResult(
        "prompts",
        str(ws.prompts_path),
        made=made,
        resumed=rows - made,
        rejected=rejections.total(),
        rejections=dict(rejections.most_common()),
        notes=tuple(notes),
    )


def check(
    ws: Workspace, config: Config, options: RunOptions, names: Sequence[str], command: str
) -> None:
    """Report, before the first step of a `command`, what would stop a later one."""
    models = [spec.name for spec in model_specs(config.generate)]
    require_chosen(ws, config, options, names, models, command)
    check_judges(config, names, offline=options.dry_run)
    if {"score", "pair"} <= {*names}:
        require_scores(ws, config.pair, config.score.scorers)


def generate(ws: Workspace, config: Config, options: RunOptions) -> StepResult:
    """Sample K candidates per prompt. Raises `ModelError` for a model that can't be used."""
    section = config.generate
    with _working(ws, config, options, "generate"):
        prompts = fingerprint_of(ws, ws.prompts_path)
        stage = Generate(section)
        size = part_size(
            ws,
            options.part_size,
            section.batch_size,
            each=section.num_candidates,
            sizes=stage.num_sizes,
        )
        total = read_header(ws.prompts_path).rows
        source = cut(ws.prompts_path, total, size, stage.fan_out)
        own = {"generate": stage.fingerprint(), "layout": {"part_size": size}}
        goal = Goal(Generate.name, "generate", ws.candidates_dir, prompts | own)
        make = _on_each_device(_generator, section)
        return _run(ws, config, options, make, source, [goal])[0]


def _on_each_device(make: Callable[[S, str], Stage], section: S) -> MakeStage:
    """What makes the stages of a section, on each device when it names several."""
    makers = [partial(make, own) for own in for_each_device(section)]
    return OnDevices(tuple(makers)) if len(makers) > 1 else makers[0]


def _generator(config: GenerateConfig, _name: str) -> Generate:
    return Generate(config)


def annotate(ws: Workspace, config: Config, options: RunOptions) -> list[StepResult]:
    """Read a scene graph off every candidate, with all annotators in one pass; none is fine."""
    if not config.annotate.annotators:
        return []
    make = _on_each_device(_annotator, config.annotate)
    first = for_each_device(config.annotate)[0]
    stages = [_annotator(first, name) for name in dict.fromkeys(config.annotate.annotators)]
    with _working(ws, config, options, "annotate"):
        candidates = _candidates(ws)
        _require_choice(ws, config, options, "annotate")
        goals = [
            Goal(
                stage.name,
                f"annotate {stage.name}",
                ws.annotations_dir(stage.name),
                candidates | {"annotate": {"annotator": stage.name, **stage.made_by}},
            )
            for stage in stages
        ]
        return _run(ws, config, options, make, _parts(ws), goals)


def _annotator(config: AnnotateConfig, name: str) -> Annotate:
    return Annotate(name, config)


def score(ws: Workspace, config: Config, options: RunOptions) -> list[StepResult]:
    """Judge every candidate by each scorer, in one pass; those that don't fail keep their scores.

    Raises what a scorer raised, once the others are done.
    """
    make = _on_each_device(_scorer, config.score)
    first = for_each_device(config.score)[0]
    stages = [_scorer(first, name) for name in dict.fromkeys(config.score.scorers)]
    with _working(ws, config, options, "score"):
        upstream, annotations = _candidates(ws), None
        if any(OBSERVED in stage.needs for stage in stages):
            annotations = ws.annotations_dir(config.score.annotator)
        _require_choice(ws, config, options, "score")
        seen = descendant(ws, annotations, upstream) if annotations else upstream
        goals = [
            Goal(
                stage.name,
                f"score {stage.name}",
                ws.scores_dir(stage.name),
                (seen if OBSERVED in stage.needs else upstream)
                | {"score": {"scorer": stage.name, **stage.made_by}},
            )
            for stage in stages
        ]
        return _run(ws, config, options, make, _parts(ws, annotations), goals)


def _scorer(config: ScoreConfig, name: str) -> Score:
    return Score(name, config)


def pair(ws: Workspace, config: Config, options: RunOptions) -> StepResult:
    """Choose winner/loser pairs and write the dataset. Raises `DataError` for too few pairs."""
    with _working(ws, config, options, "pair", "dataset"):
        return pair_workspace(ws, config, options)


def _candidates(ws: Workspace) -> Fingerprint:
    """What made the candidates, once it is sure that they belong to the prompts."""
    return descendant(ws, ws.candidates_dir, fingerprint_of(ws, ws.prompts_path))


def _require_choice(ws: Workspace, config: Config, options: RunOptions, step: str) -> None:
    """Raise `ConfigError` for judges of the embedded world that nobody chose for these images."""
    if left_open := unchosen(config, [step], made_before(ws, options, [step])):
        models = ws.read_table(ws.candidates_dir, ["model"])["model"].unique().to_pylist()
        require_choice(models, left_open, *step_commands(ws.root))


def _parts(ws: Workspace, annotations: Path | None = None) -> list[CandidatePart]:
    return [
        CandidatePart(
            part,
            read_header(part).rows,
            ws.prompts_path,
            ws.need(annotations / part.name) if annotations else None,
        )
        for part in ws.iter_parts(ws.candidates_dir)
    ]


def _run(
    ws: Workspace,
    config: Config,
    options: RunOptions,
    make_stage: MakeStage,
    source: Sequence[InputPart],
    goals: Sequence[Goal],
) -> list[StepResult]:
    """Plan, then record the configuration, then work: a refused run leaves no trace."""
    plans = [plan_goal(source, goal, options) for goal in goals]
    if not options.dry_run:
        ws.save_config(config)
    try:
        results = run_plans(make_stage, source, plans, options)
    except Exception:
        if any(map(was_begun, plans)):  # what there is now was made by these options
            ws.accept_config(config, goals[0].step.split()[0])
        raise
    if goals[0].stage == Generate.name:
        return results
    missing = missing_parts(ws, goals[0].fingerprint)
    notes = (f"parts of candidates still to be generated: {missing}",) if missing else ()
    return [replace(result, notes=(*result.notes, *notes)) for result in results]


@contextmanager
def _working(ws: Workspace, config: Config, options: RunOptions, *sections: str) -> Iterator[None]:
    """Hold the lock, except on a dry run, which changes nothing.

    All but the first step need a workspace that is there: a mistyped name makes no folder. Of a
    step that fails the workspace keeps no options; `sections` are those that it is done by.
    """
    if sections != ("prompts",):
        ws.need(ws.prompts_path)
    if options.dry_run:
        yield
        return
    with ws.lock():
        try:
            yield
        except Exception:
            ws.restore_config()
            raise
        ws.accept_config(config, *sections)
