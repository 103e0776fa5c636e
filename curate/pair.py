"""The pair step: from the scores of a workspace to pairs, their report and the data set.

The table of pairs is written last, so that it is there only when all of it is.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from invdpo.curate.dataset.write import write_dataset
from invdpo.curate.fingerprints import descendant, fingerprint_of
from invdpo.curate.pairing import Report, check_columns, check_scores, cut_pairs, require_target
from invdpo.curate.pairing.checks import NEEDED
from invdpo.curate.pairing.reviews import check_reviews
from invdpo.curate.runner import RunOptions, StepResult, is_done
from invdpo.curate.scorers import SCORERS
from invdpo.curate.storage.atomic import replacing
from invdpo.curate.storage.parts import (
    Fingerprint,
    exists,
    read_header,
    read_part,
    remove_stale,
    write_part,
)
from invdpo.curate.storage.urls import is_remote
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError, WorkspaceError
from invdpo.schemas.config import Config
from invdpo.schemas.ids import content_id

COLUMNS = ("candidate_id", "prompt_id", "status", "phash", "seed", "model", "revision")
"""Of candidates; never their pictures."""
UNLIKE = 0.2
"""A validation split further from the fraction asked for, as a share of it, is told."""


def pair_workspace(ws: Workspace, config: Config, options: RunOptions) -> StepResult:
    """Cut pairs by all scores of the workspace. The caller holds the lock.

    Raises `ConfigError` for weights without scores, `DataError` when there is no pair or fewer
    than asked for (the report is written all the same).
    """
    begin = time.monotonic()
    fingerprint = _fingerprint(ws, config)
    if is_done(ws.pairs_path, fingerprint, options) and ws.dataset_dir.exists():
        rows = read_header(ws.pairs_path).rows
        if there := _told(ws, config, rows):
            return _result(ws, there, begin, resumed=rows)
    pairs, report = _cut(ws, config, list(fingerprint["scores"]))
    if options.dry_run:
        return _result(ws, report, begin, planned=len(pairs))
    remove_stale(ws.root)
    with replacing(ws.report_path) as temporary:
        temporary.write_text(json.dumps(report, indent=2, ensure_ascii=False), encoding="utf-8")
    require_target(report, f"All counts, on a page: invdpo report {shlex.quote(str(ws.root))}")
    ws.save_config(config)
    annotator = _annotator(ws, config)
    if is_remote(ws.root):  # where the data set changes file by file, and half of it is none
        ws.pairs_path.unlink(missing_ok=True)
    write_dataset(ws, pairs, fingerprint, annotator=annotator, config=config.dataset)
    write_part(ws.pairs_path, pairs, fingerprint)
    return _result(ws, report, begin, made=len(pairs))


def _told(ws: Workspace, config: Config, rows: int) -> Report | None:
    """The report of these pairs, None when it is gone or a later pairing wrote another."""
    if not exists(ws.report_path):
        return None
    try:
        report: Report = json.loads(ws.report_path.read_bytes())
        same = report["config"] == config.pair.fingerprint() and report["pairs"]["total"] == rows
    except (ValueError, KeyError, TypeError):
        return None
    return report if same else None


def _cut(ws: Workspace, config: Config, names: Sequence[str]) -> tuple[pa.Table, Report]:
    """Read what pairs are cut from, and cut them."""
    candidates = ws.read_table(ws.candidates_dir, COLUMNS)
    scores = {name: _scores(ws, name) for name in names}
    check_scores(candidates, scores)
    return cut_pairs(
        ws.read_table(ws.prompts_path),
        candidates,
        scores,
        config.pair,
        lower_is_better=[name for name in names if _lower_is_better(name, config)],
        reviews=_reviews(ws) if config.pair.reviews else None,
    )


def _scores(ws: Workspace, name: str) -> pa.Table:
    """What pairs are cut by, of one scorer. Raises `DataError` for tables of other columns."""
    found = []
    for part in ws.iter_parts(ws.scores_dir(name)):
        table = read_part(part)
        check_columns(name, table)
        found.append(table.select(NEEDED))
    return pa.concat_tables(found)


def _reviews(ws: Workspace) -> pa.Table:
    """Pair ids and decisions. Raises `DataError` when there are none, or malformed ones."""
    if not ws.reviews_path.exists():
        text = f"{ws.reviews_path}: not there, so there are no reviews to apply."
        raise DataError(f"{text} First run: invdpo curate review, or leave out --reviews.")
    table = read_part(ws.reviews_path)
    check_reviews(table)
    return table.select(["pair_id", "decision"])


def _fingerprint(ws: Workspace, config: Config) -> Fingerprint:
    """What decides the pairs. Raises `WorkspaceError` for scores missing, unfinished or stale."""
    prompts = fingerprint_of(ws, ws.prompts_path)
    candidates = descendant(ws, ws.candidates_dir, prompts)
    folder = ws.scores_dir("")
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    _require_scores(ws, there, config.pair.scorers())
    scores = {}
    for name in sorted(there | config.pair.scorers()):
        for part in ws.iter_parts(ws.candidates_dir):
            ws.need(ws.scores_dir(name) / part.name)
        found = descendant(ws, ws.scores_dir(name), candidates)
        scores[name] = {key: found[key] for key in ("annotate", "score") if key in found}
    made = candidates | {"scores": scores, "pair": config.pair.fingerprint()}
    stored = config.dataset.fingerprint()
    if config.pair.reviews:
        made["reviews"] = {"content": content_id(_reviews(ws).to_pydict())}
    return made | ({"dataset": stored} if stored else {})


def _require_scores(ws: Workspace, there: Collection[str], wanted: Collection[str]) -> None:
    if lacking := sorted(set(wanted) - set(there)):
        names = ",".join((*sorted(there), *lacking))
        raise WorkspaceError(
            f"{ws.scores_dir('')}: no scores of {', '.join(lacking)}; there are: "
            f"{', '.join(sorted(there)) or 'none'}.\n"
            f"First run: invdpo curate score {shlex.quote(str(ws.root))} --scorers {names}"
        )


def _lower_is_better(name: str, config: Config) -> bool:
    """Scores whose plug-in is not installed any more count as higher is better."""
    return name in SCORERS.names() and not SCORERS[name](config.score).higher_is_better


def _annotator(ws: Workspace, config: Config) -> str | None:
    """The annotator whose graphs the data set shows, if it read every part of candidates."""
    folder = ws.annotations_dir(config.score.annotator)
    parts = ws.iter_parts(ws.candidates_dir)
    return config.score.annotator if all((folder / p.name).exists() for p in parts) else None


def _result(
    ws: Workspace,
    report: Mapping[str, Any],
    begin: float,
    *,
    made: int = 0,
    resumed: int = 0,
    planned: int = 0,
) -> StepResult:
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
        notes=tuple(_notes(ws, report)),
    )


def _notes(ws: Workspace, report: Mapping[str, Any]) -> Iterator[str]:
    """A missed target, where the data set lies, and a validation split unlike the one asked for."""
    if report["shortfall"]:
        yield report["shortfall"]
    if ws.dataset_dir.exists():
        yield f"data set in {ws.dataset_dir}"
    split = report.get("split", {})
    if split and abs(split["prompts_held_out"] - split["asked"]) > UNLIKE * split["asked"]:
        text = f"{split['prompts_held_out']:.1%} of the prompts are held out, {split['asked']:.1%} "
        text += "asked for"
        if split["by"] == "graph":
            text += f"; {split['largest_cluster']:.0%} of them hang together by shared facts, "
            text += "which --split-by fact takes apart"
        yield text
