"""The pair step: from the scores of a workspace to pairs, their report and the data set.

The table of pairs is written last, so that it is there only when all of it is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from invdpo.curate.dataset import write_dataset
from invdpo.curate.lineage import descendant, fingerprint_of
from invdpo.curate.pairing import cut_pairs, require_target
from invdpo.curate.parts import Fingerprint, read_header, replacing, write_part
from invdpo.curate.runner import RunOptions, StepResult, is_done
from invdpo.curate.scorers import SCORERS
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config


def pair_workspace(ws: Workspace, config: Config, options: RunOptions) -> StepResult:
    """Cut pairs by all scores of the workspace. The caller holds the lock.

    Raises `ConfigError` for weights without scores, `DataError` when there is no pair or fewer
    than asked for (the report is written all the same).
    """
    begin = time.monotonic()
    fingerprint = _fingerprint(ws, config)
    if is_done(ws.pairs_path, fingerprint, options) and ws.dataset_dir.exists():
        report = json.loads(ws.need(ws.report_path).read_text(encoding="utf-8"))
        return _result(ws, report, begin, resumed=read_header(ws.pairs_path).rows)
    names = list(fingerprint["scores"])
    pairs, report = cut_pairs(
        ws.read_table(ws.prompts_path),
        ws.read_table(ws.candidates_dir, ["candidate_id", "prompt_id", "status", "phash"]),
        {name: ws.read_table(ws.scores_dir(name)) for name in names},
        config.pair,
        lower_is_better=[name for name in names if _lower_is_better(name, config)],
    )
    if options.dry_run:
        return _result(ws, report, begin, planned=len(pairs))
    with replacing(ws.report_path) as temporary:
        temporary.write_text(json.dumps(report, indent=2, ensure_ascii=False), encoding="utf-8")
    require_target(report)
    ws.save_config(config)
    annotator = _annotator(ws, config)
    write_dataset(ws, pairs, fingerprint, annotator=annotator, config=config.dataset)
    write_part(ws.pairs_path, pairs, fingerprint)
    return _result(ws, report, begin, made=len(pairs))


def _fingerprint(ws: Workspace, config: Config) -> Fingerprint:
    """What decides the pairs. Raises `WorkspaceError` for scores missing, unfinished or stale."""
    prompts = fingerprint_of(ws, ws.prompts_path)
    candidates = descendant(ws, ws.candidates_dir, prompts)
    folder = ws.scores_dir("")
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    scores = {}
    for name in sorted(there | config.pair.weights.keys() | config.pair.limits.keys()):
        for part in ws.iter_parts(ws.candidates_dir):
            ws.need(ws.scores_dir(name) / part.name)
        found = descendant(ws, ws.scores_dir(name), candidates)
        scores[name] = {key: found[key] for key in ("annotate", "score") if key in found}
    made = candidates | {"scores": scores, "pair": config.pair.fingerprint()}
    stored = config.dataset.fingerprint()
    return made | ({"dataset": stored} if stored else {})


def _lower_is_better(name: str, config: Config) -> bool:
    """Scores whose plug-in is not installed any more count as higher is better."""
    return name in SCORERS.names() and not SCORERS[name](config.score).higher_is_better


def _annotator(ws: Workspace, config: Config) -> str | None:
    """The annotator whose graphs the data set shows, if it read every part of candidates."""
    folder = ws.annotations_dir(config.score.annotator)
    parts = ws.iter_parts(ws.candidates_dir)
    return config.score.annotator if all((folder / p.name).exists() for p in parts) else None


def _result(
    ws: Workspace, report: Mapping[str, Any], begin: float, *, made: int = 0, resumed: int = 0,
    planned: int = 0,
) -> StepResult:  # fmt: skip
    """Counts are pairs; those rejected are prompts that gave none."""
    dropped = report["prompts"]["dropped"]
    return StepResult(
        "pair",
        str(ws.pairs_path),
        made=made,
        resumed=resumed,
        planned=planned,
        rejected=sum(dropped.values()),
        rejections=dict(dropped),
        seconds=time.monotonic() - begin,
        notes=(f"data set in {ws.dataset_dir}",) if ws.dataset_dir.exists() else (),
    )
