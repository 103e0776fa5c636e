"""The pair step: from the scores of a workspace to pairs, their report and the dataset.

The table of pairs is written last, so that it exists only when everything else does.
"""

from __future__ import annotations

import json
import shlex
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from invdpo.curate.dataset.card import renew_card
from invdpo.curate.dataset.earlier_pairs import earlier_report
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
    differences,
    exists,
    list_parts,
    read_header,
    read_part,
    remove_stale,
    write_part,
)
from invdpo.curate.storage.urls import is_remote
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError, WorkspaceError
from invdpo.schemas.config import Config
from invdpo.schemas.config.pair import PairConfig
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.documents import as_written

COLUMNS = ("candidate_id", "prompt_id", "status", "error", "phash", "seed", "model", "revision")
"""Of candidates; never their images."""
SPLIT_TOLERANCE = 0.2
"""A note follows when the share of validation differs from the one asked for by more of it."""


def pair_workspace(ws: Workspace, config: Config, options: RunOptions) -> StepResult:
    """Choose pairs by all scores of the workspace. The caller holds the lock.

    Raises `ConfigError` for weights without scores, `DataError` when there is no pair or fewer
    than asked for (the report is written all the same).
    """
    begin = time.monotonic()
    fingerprint = _fingerprint(ws, config)
    options = _may_replace(ws, fingerprint, options)
    done = is_done(ws.pairs_path, fingerprint, options)
    if done and not (options.overwrite or options.repair or options.retry_rejected):
        rows = read_header(ws.pairs_path).rows
        if earlier := earlier_report(ws, config, rows):
            if not options.dry_run:
                _renew_licence(ws, config)
            return _result(ws, earlier, begin, options, resumed=rows)
    with as_written(ws.root):
        pairs, report = _read_and_cut(ws, config, list(fingerprint["scores"]))
    if options.dry_run:
        return _result(ws, report, begin, options, planned=len(pairs))
    remove_stale(ws.set_dir)
    with replacing(ws.report_path) as temporary:
        temporary.write_text(json.dumps(report, indent=2, ensure_ascii=False), encoding="utf-8")
    if report["shortfall"]:
        page = f"All counts, on a page: invdpo report {ws.set_words}"
        require_target(report, "\n".join([*_unscored(ws, config, len(pairs)), page]))
    ws.save_config(config)
    annotator = _annotator(ws, config)
    if is_remote(ws.root):  # where the dataset changes file by file, and half of it is none
        ws.pairs_path.unlink(missing_ok=True)
    own = {"set": {"name": ws.name}} if ws.name else {}
    write_dataset(ws, pairs, fingerprint | own, annotator=annotator, config=config.dataset)
    write_part(ws.pairs_path, pairs, fingerprint)
    ws.forget_push()
    return _result(ws, report, begin, options, made=len(pairs))


def _may_replace(ws: Workspace, fingerprint: Fingerprint, options: RunOptions) -> RunOptions:
    """A named set is made again unasked when its options have changed: it is quick, and derived.

    Raises `WorkspaceError` for one that people have judged or that was pushed, without `overwrite`.
    """
    if ws.name is None or options.overwrite or not exists(ws.pairs_path):
        return options
    differing = differences(read_header(ws.pairs_path).fingerprint, fingerprint)
    if differing and (used := list(_uses(ws))):
        lines = "\n  ".join(differing)
        raise WorkspaceError(
            f"{ws.pairs_path}: made with another configuration, and still in use: "
            f"{'; '.join(used)}.\n  {lines}\nGive another --name for another set, or --overwrite "
            "to replace it."
        )
    return replace(options, overwrite=bool(differing))


def _uses(ws: Workspace) -> Iterator[str]:
    """What people did with a set, which another one would not show."""
    if exists(ws.reviews_path) and (count := len(_read_reviews(ws))):
        yield f"{count:,} {'decision' if count == 1 else 'decisions'} of reviewers"
    if repo := ws.pushed_to():
        yield f"it was pushed to {repo}"


def _renew_licence(ws: Workspace, config: Config) -> None:
    """Write the card again where it is asked for with another licence than before."""
    if ws.configs() and ws.read_config().dataset.license != config.dataset.license:
        renew_card(ws, config.dataset)


def _read_and_cut(ws: Workspace, config: Config, names: Sequence[str]) -> tuple[pa.Table, Report]:
    """Read candidates, scores and reviews, and choose pairs from them."""
    candidates = ws.read_table(ws.candidates_dir, COLUMNS)
    scores = {name: _read_scores(ws, name) for name in names}
    check_scores(candidates, scores)
    return cut_pairs(
        ws.read_table(ws.prompts_path),
        candidates,
        scores,
        config.pair,
        lower_is_better=[name for name in names if _lower_is_better(ws, name, config)],
        reviews=_read_reviews(ws) if config.pair.reviews else None,
    )


def _read_scores(ws: Workspace, name: str) -> pa.Table:
    """The columns of one scorer's scores that choose pairs. Raises `DataError` for others."""
    tables = []
    for part in ws.iter_parts(ws.scores_dir(name)):
        table = read_part(part)
        check_columns(name, table)
        tables.append(table.select(NEEDED))
    return pa.concat_tables(tables)


def _unscored(ws: Workspace, config: Config, pairs: int) -> Iterator[str]:
    """Where no pair came out, why the scorers that decide it gave no score."""
    for name in sorted(config.pair.weights) if not pairs else ():
        table = ws.read_table(ws.scores_dir(name))
        known = table["error"].to_pylist() if "error" in table.column_names else []
        errors = Counter(filter(None, known))
        if errors:
            reasons = "; ".join(f"{count:,} x {reason}" for reason, count in errors.most_common(3))
            weights = {key: w for key, w in config.pair.weights.items() if key != name}
            without = f". To pair without it: {_weight_flag(weights)}" if weights else ""
            yield f"{name} could not score {errors.total():,} of {len(table):,}: {reasons}{without}"


def _weight_flag(weights: Mapping[str, float]) -> str:
    return f"--weight {shlex.quote(','.join(f'{name}={w:g}' for name, w in weights.items()))}"


def _read_reviews(ws: Workspace) -> pa.Table:
    """Pair ids and decisions. Raises `DataError` when they are missing or malformed."""
    if not ws.reviews_path.exists():
        text = f"{ws.reviews_path}: no such file, so there are no decisions to apply."
        raise DataError(f"{text} First run: invdpo curate review, or give --no-reviews.")
    table = read_part(ws.reviews_path)
    check_reviews(table)
    return table.select(["pair_id", "decision"])


def _fingerprint(ws: Workspace, config: Config) -> Fingerprint:
    """What decides the pairs and their graphs.

    Raises `WorkspaceError` for scores missing, unfinished or stale.
    """
    prompts = fingerprint_of(ws, ws.prompts_path)
    candidates = descendant(ws, ws.candidates_dir, prompts)
    scorers = require_scores(ws, config.pair)
    scores = {}
    for name in sorted(scorers | config.pair.scorers()):
        for part in ws.iter_parts(ws.candidates_dir):
            ws.need(ws.scores_dir(name) / part.name)
        made_by = _made_by(ws, ws.scores_dir(name), candidates)
        scores[name] = {key: made_by[key] for key in ("annotate", "score") if key in made_by}
    fingerprint = candidates | {"scores": scores, "pair": config.pair.fingerprint()}
    if annotator := _annotator(ws, config):
        seen = fingerprint_of(ws, ws.annotations_dir(annotator)).get("annotate")
        if seen and seen not in [made_by.get("annotate") for made_by in scores.values()]:
            fingerprint["annotate"] = seen
    dataset = config.dataset.fingerprint()
    if config.pair.reviews:
        fingerprint["reviews"] = {"content": content_id(_read_reviews(ws).to_pydict())}
    return fingerprint | ({"dataset": dataset} if dataset else {})


def _made_by(ws: Workspace, scores: Path, candidates: Fingerprint) -> Fingerprint:
    """What made a table of scores, once it is sure that nothing it was made from was remade."""
    made_by = descendant(ws, scores, candidates)
    if annotator := made_by.get("annotate", {}).get("annotator"):
        annotations = ws.annotations_dir(annotator)
        if list_parts(annotations):
            descendant(ws, scores, fingerprint_of(ws, annotations))
    return made_by


def require_scores(ws: Workspace, config: PairConfig, planned: Collection[str] = ()) -> set[str]:
    """The scorers of the workspace and those planned, before pairs are chosen by them.

    Raises `WorkspaceError` when an option of pairing names another one.
    """
    folder = ws.scores_dir("")
    found = folder.iterdir() if folder.is_dir() else ()
    scorers = {path.name for path in found if path.is_dir() and not path.name.startswith(".")}
    scorers |= set(planned)
    if missing := sorted(config.scorers() - scorers):
        names = ",".join((*sorted(scorers), *missing))
        listed = ", ".join(sorted(scorers)) or "none"
        if planned:
            text = f"Pairs are chosen by {', '.join(missing)}, too, which this run does not score: "
            text += f"--scorers {','.join(planned)}."
            way_out = f"Add it: --scorers {names}"
        else:
            text = f"{folder}: no scores of {', '.join(missing)}; there are: {listed}."
            way_out = (
                f"First run: invdpo curate score {shlex.quote(str(ws.root))} --scorers {names}"
            )
        if set(missing) <= set(SCORERS.names()):  # what no scorer is called can't be run
            text += f"\n{way_out}"
        others = sorted(scorers - {config.held_out})
        if others and set(missing) <= set(config.weights):
            text += f"\nOr choose pairs by others: {_weight_flag(dict.fromkeys(others, 1))}"
        raise WorkspaceError(text)
    return scorers


def _lower_is_better(ws: Workspace, name: str, config: Config) -> bool:
    """As the table of a plug-in says, which need not be installed, or else the built-in scorer."""
    made_by = fingerprint_of(ws, ws.scores_dir(name)).get("score", {})
    if "plugin" in made_by:
        return bool(made_by.get("lower_is_better"))
    return name in SCORERS.names() and not SCORERS[name](config.score).higher_is_better


def _annotator(ws: Workspace, config: Config) -> str | None:
    """The annotator whose graphs go into the dataset, if it read every part of candidates."""
    folder = ws.annotations_dir(config.score.annotator)
    parts = ws.iter_parts(ws.candidates_dir)
    return config.score.annotator if all((folder / p.name).exists() for p in parts) else None


def _result(
    ws: Workspace,
    report: Mapping[str, Any],
    begin: float,
    options: RunOptions,
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
        notes=tuple(_notes(ws, report, options)),
    )


def _notes(ws: Workspace, report: Mapping[str, Any], options: RunOptions) -> Iterator[str]:
    """A missed target, where the dataset is, and a validation split of another size than asked."""
    if report["shortfall"]:
        yield report["shortfall"]
    if ws.dataset_dir.exists() and not options.dry_run:
        yield f"dataset in {ws.dataset_dir}"
    split = report.get("split", {})
    if split and abs(split["prompts_held_out"] - split["asked"]) > SPLIT_TOLERANCE * split["asked"]:
        text = f"{split['prompts_held_out']:.1%} of the prompts are held out, {split['asked']:.1%} "
        text += "asked for"
        if split["by"] == "graph":
            text += f"; {split['largest_cluster']:.0%} of them are connected by shared facts, "
            text += "which --split-by fact separates"
        yield text
