"""From the record of the rounds to their page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from invdpo import __version__
from invdpo.curate.report.rounds import (
    SHOWN,
    ImageStrip,
    RoundImage,
    RoundsPage,
    write_rounds_page,
)
from invdpo.curate.report.thumbnails import make_thumbnail
from invdpo.rounds.record import RoundResult, read_record
from invdpo.rounds.round_plan import RoundPlan
from invdpo.rounds.run import Improvement
from invdpo.rounds.stopping import ALL_RIGHT, main_figure
from invdpo.schemas import WorkspaceError
from invdpo.schemas.config import Config
from invdpo.schemas.tables import Record

BUDGET = 60_000
"""Bytes of an image on the page."""


def read_improvement(root: Path, config: Config) -> Improvement:
    """What the rounds in a folder have come to. Raises `WorkspaceError` where there are none."""
    record = read_record(root)
    if record is None or not record.results:
        raise WorkspaceError(f"{root}: no round has been evaluated yet. Run: invdpo improve {root}")
    return Improvement(RoundPlan(root, config), record.results)


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
        strips=list(_strips(plan, results)),
        stopped=improvement.stopped,
        version=__version__,
    )
    data = {"best_round": improvement.best.number, "rounds": rows, "facts": page.facts}
    text = json.dumps(data, indent=1).encode()
    return write_rounds_page(page, folder or plan.root / "report", text)


def _strips(plan: RoundPlan, results: tuple[RoundResult, ...]) -> Iterator[ImageStrip]:
    """The first validation prompts, each with its first image by every model."""
    firsts = [_first_images(plan, result.number) for result in results]
    ws = plan.validation(0)
    prompts = ws.read_table(ws.prompts_path, ["prompt_id", "prompt"]).to_pylist()
    for row in prompts[:SHOWN]:
        images = [
            _image(result, row["prompt_id"], first.get(row["prompt_id"]))
            for result, first in zip(results, firsts, strict=True)
        ]
        yield ImageStrip(row["prompt"] or "", tuple(images))


def _first_images(plan: RoundPlan, number: int) -> Mapping[str, Record]:
    """Prompt id -> the candidate that a model generated first for it."""
    ws = plan.validation(number)
    part = ws.read_table(ws.iter_parts(ws.candidates_dir)[0]).to_pylist()
    return {row["prompt_id"]: row for row in reversed(part)}


def _image(result: RoundResult, prompt_id: str, row: Record | None) -> RoundImage:
    label = f"round {result.number}" if result.number else "base"
    figures: Mapping[str, Any] = result.judgement["figures"].get(ALL_RIGHT, {})
    share = figures.get(prompt_id)
    thumbnail = make_thumbnail((row or {}).get("image", {}).get("bytes"), BUDGET) if row else None
    return RoundImage(label, thumbnail, None if share is None else share == 1.0)
