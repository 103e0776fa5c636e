"""One function a command: reads its tables, has the runner make the next one, says what it did.

Every step takes the workspace's lock, checks all before it changes anything, and goes on where an
interrupted run of it stopped. The fingerprint of a table holds those of the tables before it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa

from invdpo.curate.annotate import Annotate
from invdpo.curate.engines import InputPart, MakeStage
from invdpo.curate.generate import Generate
from invdpo.curate.lineage import descendant, fingerprint_of, missing_parts, part_size
from invdpo.curate.pair import pair_workspace
from invdpo.curate.parts import Fingerprint, read_header, remove_stale, write_part
from invdpo.curate.prompts import PROMPT_SOURCES, collect
from invdpo.curate.runner import RunOptions, StepResult, is_done, plan_stage, run_plan, tally
from invdpo.curate.score import Score
from invdpo.curate.sources import CandidatePart, cut
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError
from invdpo.schemas.config import Config
from invdpo.schemas.tables import OK, PROMPTS, Record


def make_prompts(ws: Workspace, config: Config, options: RunOptions) -> StepResult:
    """Write the table of prompts. Raises `DataError` when the source has none that can be used."""
    begin = time.monotonic()
    source = PROMPT_SOURCES[config.prompts.source](config.prompts)
    fingerprint = {"prompts": source.fingerprint()}
    with _working(ws, options):
        made = 0
        if not is_done(ws.prompts_path, fingerprint, options):
            rows, doubled = collect(source(), source.name, config.prompts.num_prompts)
            _require_prompts(config, rows)
            made = len(rows)
            if options.dry_run:
                return StepResult("prompts", str(ws.prompts_path), planned=made)
            ws.save_config(config)
            remove_stale(ws.root)
            table = pa.Table.from_pylist(rows, PROMPTS)
            write_part(ws.prompts_path, table, fingerprint, {"doubled": doubled})
        result = _prompts_result(ws, made, config.prompts.num_prompts)
    return replace(result, seconds=time.monotonic() - begin)


def _require_prompts(config: Config, rows: Sequence[Record]) -> None:
    place = config.prompts.path or config.prompts.source
    if not rows:
        raise DataError(f"{place}: no prompts found.")
    if all(row["status"] != OK for row in rows):
        raise DataError(f"{place}: none of {len(rows)} prompts can be used ({rows[0]['error']}).")


def _prompts_result(ws: Workspace, made: int, asked: int) -> StepResult:
    rows, rejections = tally(ws.prompts_path)
    doubled = read_header(ws.prompts_path).notes.get("doubled", 0)
    notes = [f"{doubled} doubled prompts dropped"] if doubled else []
    notes += [f"{rows} distinct prompts found, {asked} asked for"] if rows < asked else []
    return StepResult(
        "prompts",
        str(ws.prompts_path),
        made=made,
        resumed=rows - made,
        rejected=rejections.total(),
        rejections=dict(rejections.most_common()),
        notes=tuple(notes),
    )


def generate(ws: Workspace, config: Config, options: RunOptions) -> StepResult:
    """Sample K candidates a prompt. Raises `ModelError` for a model that can't be used."""
    section = config.generate
    with _working(ws, options):
        prompts = fingerprint_of(ws, ws.prompts_path)
        size = part_size(ws, options.part_size, section.batch_size)
        total = read_header(ws.prompts_path).rows
        source = cut(ws.prompts_path, total, size, section.num_candidates)
        own = {"generate": Generate(section).fingerprint(), "layout": {"part_size": size}}
        make = partial(Generate, section)
        return _run(ws, config, options, "generate", make, source, ws.candidates_dir, prompts | own)


def annotate(ws: Workspace, config: Config, options: RunOptions) -> list[StepResult]:
    """Read a scene graph off every candidate, with each annotator."""
    stages = [Annotate(name, config.annotate) for name in config.annotate.annotators]
    with _working(ws, options):
        return [_annotate(ws, config, options, stage) for stage in stages]


def _annotate(ws: Workspace, config: Config, options: RunOptions, stage: Annotate) -> StepResult:
    columns = ["candidate_id", "prompt_id", "status", "error"]
    columns += ["image"] if "image" in stage.needs else []
    worded = {"prompt", "graph"} & {*stage.needs}
    parts = _parts(ws, columns, ws.prompts_path if worded else None)
    own = {"annotate": {"annotator": stage.name, "revision": stage.revision}}
    make = partial(Annotate, stage.name, config.annotate)
    folder = ws.annotations_dir(stage.name)
    upstream = _candidates(ws)
    return _run(ws, config, options, f"annotate {stage.name}", make, parts, folder, upstream | own)


def score(ws: Workspace, config: Config, options: RunOptions) -> list[StepResult]:
    """Judge every candidate by each scorer; those before the one that fails keep their scores."""
    stages = {name: Score(name, config.score) for name in config.score.scorers}
    with _working(ws, options):
        return [_score(ws, config, options, stage) for stage in stages.values()]


def _score(ws: Workspace, config: Config, options: RunOptions, stage: Score) -> StepResult:
    upstream = _candidates(ws)
    annotations = None
    if "observed_graph" in stage.needs:
        annotations = ws.annotations_dir(config.score.annotator)
        upstream = descendant(ws, annotations, upstream)
    columns = ["candidate_id", "prompt_id", "status", "error"]
    columns += ["image"] if "image" in stage.needs else []
    parts = _parts(ws, columns, ws.prompts_path, annotations)
    own = {"score": {"scorer": stage.name, "revision": stage.revision}}
    make = partial(Score, stage.name, config.score)
    folder = ws.scores_dir(stage.name)
    return _run(ws, config, options, f"score {stage.name}", make, parts, folder, upstream | own)


def pair(ws: Workspace, config: Config, options: RunOptions) -> StepResult:
    """Cut winner/loser pairs and write the data set. Raises `DataError` for too few pairs."""
    with _working(ws, options):
        return pair_workspace(ws, config, options)


def _candidates(ws: Workspace) -> Fingerprint:
    """What made the candidates, once it is sure that they belong to the prompts."""
    return descendant(ws, ws.candidates_dir, fingerprint_of(ws, ws.prompts_path))


def _parts(
    ws: Workspace, columns: Sequence[str], prompts: Path | None = None, joined: Path | None = None
) -> list[CandidatePart]:
    return [
        CandidatePart(
            part,
            read_header(part).rows,
            columns,
            prompts,
            ws.need(joined / part.name) if joined else None,
        )
        for part in ws.iter_parts(ws.candidates_dir)
    ]


def _run(
    ws: Workspace, config: Config, options: RunOptions, step: str, make_stage: MakeStage,
    source: Sequence[InputPart], sink: Path, fingerprint: Fingerprint,
) -> StepResult:  # fmt: skip
    """Plan, then record the configuration, then work: a refused run leaves no trace."""
    plan = plan_stage(source, sink, fingerprint, options, step=step)
    if not options.dry_run:
        ws.save_config(config)
    result = run_plan(make_stage, plan)
    missing = missing_parts(ws, fingerprint) if step != "generate" else 0
    note = f"parts of candidates still to be generated: {missing}"
    return replace(result, notes=(note,)) if missing else result


@contextmanager
def _working(ws: Workspace, options: RunOptions) -> Iterator[None]:
    """Hold the lock, except on a dry run, which changes nothing."""
    if options.dry_run:
        yield
    else:
        with ws.lock():
            yield
