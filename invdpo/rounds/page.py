"""From the record of the rounds to their page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from invdpo import __version__
from invdpo.curate.report.rounds import (
    SHOWN,
    ImageStrip,
    RoundImage,
    RoundsPage,
    write_rounds_page,
)
from invdpo.curate.report.thumbnails import make_thumbnail
from invdpo.curate.workspace import Workspace
from invdpo.rounds.checks import require_figure
from invdpo.rounds.record import RoundResult, read_record
from invdpo.rounds.round_plan import BASE, RoundPlan
from invdpo.rounds.run import Improvement, improvement_of
from invdpo.rounds.stopping import ALL_RIGHT, main_figure, no_pairs, reason_to_stop
from invdpo.schemas import WorkspaceError
from invdpo.schemas.config import Config
from invdpo.schemas.tables import Record

BUDGET = 60_000
"""Bytes of an image on the page."""


def read_improvement(root: Path, config: Config) -> Improvement:
    """What the rounds in a folder have come to.

    Raises `WorkspaceError` where there are none, `DataError` where they can't be compared.
    """
    record = read_record(root)
    if record is None or not record.evaluated:
        raise WorkspaceError(f"{root}: no round has been evaluated yet. Run: invdpo improve {root}")
    plan = RoundPlan(root, config)
    for result in record.evaluated:
        require_figure(plan, result)
    stopped, following = "", len(record.results)
    if following <= config.improve.rounds:
        stopped = reason_to_stop(record.evaluated, config) or no_pairs(plan, following)
    return improvement_of(plan, record, stopped)


def write_report(improvement: Improvement, folder: Path | None = None) -> Path:
    """The page, in `WORK/report` unless another folder is given; its path."""
    plan, results = improvement.plan, improvement.results
    rows = improvement.rows()
    best = results.index(improvement.best)
    kinds = results[0].judgement["facts"]
    page = RoundsPage(
        name=plan.root.resolve().name,
        rows=rows,
        facts={kind: [r.judgement["facts"].get(kind, (0, 0)) for r in results] for kind in kinds},
        best=best,
        main_figure=main_figure(plan.config),
        held_out=plan.config.pair.held_out,
        changes=improvement.changes,
        strips=list(_strips(plan, results)),
        stopped=improvement.stopped,
        warning=improvement.warning,
        version=__version__,
    )
    data = {"best_round": improvement.best.number, "rounds": rows, "facts": page.facts}
    text = json.dumps(data, indent=1).encode()
    return write_rounds_page(page, folder or plan.root / "report", text)


def _strips(plan: RoundPlan, results: tuple[RoundResult, ...]) -> Iterator[ImageStrip]:
    """The first validation prompts, each with its first image by every model."""
    ws = plan.validation(BASE, results[0].guidance_scale)
    prompts = ws.read_table(ws.prompts_path, ["prompt_id", "prompt"]).to_pylist()[:SHOWN]
    ids = [row["prompt_id"] for row in prompts]
    models = [_first_images(plan, result, ids) for result in results]
    for row, *images in zip(prompts, *models, strict=True):
        yield ImageStrip(row["prompt"] or "", tuple(images))


def _first_images(
    plan: RoundPlan, result: RoundResult, prompt_ids: Sequence[str]
) -> list[RoundImage]:
    """What one model generated first for each of these prompts."""
    ws, first = plan.validation(result.number, result.guidance_scale), dict[str, Record]()
    for part in ws.iter_parts(ws.candidates_dir):
        table = ws.read_table(part, ["prompt_id", "candidate_id", "image"])
        for row in table.to_pylist():
            first.setdefault(row["prompt_id"], row)
        if first.keys() >= {*prompt_ids}:
            break
    right = _all_right(ws) if main_figure(plan.config) == ALL_RIGHT else {}
    label = f"round {result.number}" if result.number else "base"
    return [_image(label, first.get(prompt), right) for prompt in prompt_ids]


def _all_right(ws: Workspace) -> dict[str, bool]:
    """Candidate id -> whether every fact of its prompt holds, of those that could be judged."""
    rows = ws.read_table(ws.scores_dir("composition"), ["candidate_id", "components"]).to_pylist()
    judged = ((row["candidate_id"], dict(row["components"])) for row in rows if row["components"])
    return {name: figures["all_right"] == 1.0 for name, figures in judged}


def _image(label: str, row: Record | None, right: Mapping[str, bool]) -> RoundImage:
    if row is None or row["image"] is None:
        return RoundImage(label, None, None)
    thumbnail = make_thumbnail(row["image"]["bytes"], BUDGET)
    return RoundImage(label, thumbnail, right.get(row["candidate_id"]))
