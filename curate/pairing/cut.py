"""`cut_pairs`: from scores to winner/loser pairs, without reading a picture."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from invdpo.curate.pairing import report as reports
from invdpo.curate.pairing.combine import combine, directed, ranked
from invdpo.curate.pairing.pool import Bools, Floats, Ints, Pool, Sieve, gather
from invdpo.curate.pairing.select import (
    MARGIN,
    Extremes,
    extremes,
    keep_target,
    pair_ids,
    sift,
    splits,
)
from invdpo.schemas import ConfigError
from invdpo.schemas.config import PairConfig
from invdpo.schemas.tables import pairs_schema


class _Cut(NamedTuple):
    """Everything the table and the report are written from."""

    prompts: pa.Table
    pool: Pool
    dropped: Mapping[str, int]
    """Candidates that could not be ranked, by reason."""
    weights: Mapping[str, float]
    """Of the ranked scorers; negative where lower combined scores result from higher raw ones."""
    found: Extremes
    sieve: Sieve
    rows: Ints
    """Prompts that give a pair, m."""
    ids: NDArray[np.object_]
    """Pair ids, m."""

    def ends(self, raw: Floats) -> tuple[Floats, Floats]:
        """A scorer's raw scores of the chosen and of the rejected candidates, m each."""
        return raw[self.found.best[self.rows]], raw[self.found.worst[self.rows]]


def cut_pairs(
    prompts: pa.Table,
    candidates: pa.Table,
    scores: Mapping[str, pa.Table],
    config: PairConfig,
    *,
    lower_is_better: Collection[str] = (),
) -> tuple[pa.Table, reports.Report]:
    """The best against the worst candidate of each prompt, by the weighted mean of its scores.

    Each scorer is standardised within the prompt (mean 0, standard deviation 1; zeros when all are
    equal), weights are divided by the sum of their absolute values. Pairs come in the order of the
    prompts. `candidates` needs no images. When `target_pairs` can't be met all pairs that there are
    come back and the report says so under `shortfall` (`require_target` raises).

    Raises `ConfigError` for weights or limits of scorers that are not in `scores`, and `DataError`
    for doubled ids.
    """
    weights = directed(ranked(config.weights, scores), lower_is_better)
    _require_scores(config.limits, scores)
    pool, dropped = gather(prompts, candidates, scores, weights, config.limits)
    found = extremes(pool, combine(pool, len(prompts), weights), len(prompts))
    sieve = sift(pool, found, _had_any(prompts, candidates), config.min_margin)
    rows = np.flatnonzero(sieve.kept)
    ids = pair_ids(pool, found, rows)
    keep_target(sieve, rows, ids, config.target_pairs)
    kept = sieve.kept[rows]
    cut = _Cut(prompts, pool, dropped, weights, found, sieve, rows[kept], ids[kept])
    pairs = _table(cut, config)
    return pairs, _report(cut, config, pairs, lower_is_better)


def _require_scores(limits: Mapping[str, float], scores: Mapping[str, pa.Table]) -> None:
    for name in limits:
        if name not in scores:
            there = ", ".join(sorted(scores)) or "none"
            text = f"pair.limits: no scores of {name!r}; there are: {there}. "
            raise ConfigError(f"{text}First run: invdpo curate score WORK --scorers {name}")


def _had_any(prompts: pa.Table, candidates: pa.Table) -> Bools:
    known = candidates["prompt_id"].combine_chunks()
    return np.asarray(pc.is_in(prompts["prompt_id"], value_set=known).to_numpy())


def _table(cut: _Cut, config: PairConfig) -> pa.Table:
    paired = cut.prompts.select(["prompt_id", "split_group"]).take(pa.array(cut.rows))
    group = pc.coalesce(paired["split_group"], paired["prompt_id"]).to_numpy()
    ends = {name: cut.ends(raw) for name, raw in cut.pool.raw.items()}
    columns = {
        "pair_id": cut.ids,
        "prompt_id": paired["prompt_id"],
        "chosen_id": cut.pool.ids[cut.found.best[cut.rows]],
        "rejected_id": cut.pool.ids[cut.found.worst[cut.rows]],
        "margin": cut.found.margin[cut.rows],
        **{f"delta_{n}": pa.array(a - b, from_pandas=True) for n, (a, b) in ends.items()},
        "split": splits(group, config.validation_fraction, config.seed),
    }
    return pa.table(columns, schema=pairs_schema(cut.pool.raw))


def _report(
    cut: _Cut, config: PairConfig, pairs: pa.Table, lower_is_better: Collection[str]
) -> reports.Report:
    """Plain JSON types only."""
    margins, lost, reasons = cut.found.margin[cut.rows], cut.sieve.counts(), cut.sieve.reasons()
    could = cut.found.margin[reasons == MARGIN]
    usable = len(cut.pool.ids)
    total = usable + sum(cut.dropped.values())
    return {
        "config": config.fingerprint(),
        "candidates": {"total": total, "usable": usable, "dropped": dict(cut.dropped)},
        "prompts": {"total": len(cut.prompts), "paired": len(pairs), "dropped": lost},
        "pairs": {"total": len(pairs), **_by_split(pairs), "in_conflict": _conflicts(cut)},
        "margins": reports.margin_summary(margins),
        "scorers": {
            name: {"weight": config.weights.get(name, 0.0)}
            | reports.scorer_summary(*cut.ends(raw), -1 if name in lower_is_better else 1)
            for name, raw in cut.pool.raw.items()
        },
        "objects": reports.by_objects(cut.prompts["graph"], cut.sieve.kept),
        "shortfall": reports.shortfall(config.target_pairs, margins, lost, could),
        "prompts_without_pair": reports.lost_prompts(cut.prompts["prompt_id"], reasons),
    }


def _by_split(pairs: pa.Table) -> dict[str, int]:
    held = pc.sum(pc.equal(pairs["split"], "validation")).as_py() or 0
    return {"train": len(pairs) - held, "validation": held}


def _conflicts(cut: _Cut) -> int:
    """Pairs on which ranked scorers, as they are weighted, point in opposite directions."""
    ends = [(w, *cut.ends(cut.pool.raw[name])) for name, w in cut.weights.items()]
    signs = np.stack([np.sign(weight * (chosen - rejected)) for weight, chosen, rejected in ends])
    return int(((signs > 0).any(axis=0) & (signs < 0).any(axis=0)).sum())
