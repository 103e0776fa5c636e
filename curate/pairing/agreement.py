"""How far scorers agree: over candidates by rank correlation, on the pairs by direction.

Also how each scorer, ranked or not, sees the pairs. s scorers, n candidates of p prompts, m pairs;
where scores are compared their sign makes higher better.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from invdpo.curate.pairing.assembly import PairSet
from invdpo.curate.pairing.pairs import Pairs
from invdpo.curate.pairing.pool import Floats, Ints
from invdpo.curate.pairing.ranking import ranks
from invdpo.curate.pairing.reasons import Bools
from invdpo.curate.pairing.selection import Selection
from invdpo.schemas.config.pair import PairConfig

Summary = dict[str, Any]


def agreement(
    scores: Mapping[str, Floats], prompt: Ints, prompts: int, pairs: Pairs
) -> dict[str, Any]:
    """Mean Spearman correlation within prompts, and the share of pairs seen opposite ways.

    s x s each, None where undefined. A scorer that calls a pair equal takes no side.
    """
    names = list(scores)
    signs = {n: np.sign(scores[n][pairs.chosen] - scores[n][pairs.rejected]) for n in names}
    order = np.argsort(prompt, kind="stable")  # once, so that no ranking has to sort by prompt
    prompt, scores = prompt[order], {name: values[order] for name, values in scores.items()}
    ranked = {name: _centred_ranks(scores[name], prompt, prompts) for name in names}
    correlation: dict[tuple[str, str], float | None] = {}
    opposite: dict[tuple[str, str], float | None] = {}
    for first, second in [*combinations(names, 2), *((name, name) for name in names)]:
        known = np.isfinite(scores[first]) & np.isfinite(scores[second])
        a, b = ranked[first], ranked[second]
        rows = prompt
        if not known.all():
            rows = prompt[known]
            a, b = (_centred_ranks(scores[n][known], rows, prompts) for n in (first, second))
        mean = _mean_spearman(a, b, rows, prompts)
        correlation[first, second] = correlation[second, first] = mean
        share = _opposite_share(signs[first], signs[second])
        opposite[first, second] = opposite[second, first] = share
    return {
        "scorers": names,
        "rank_correlation": [[correlation[row, column] for column in names] for row in names],
        "disagreement": [[opposite[row, column] for column in names] for row in names],
    }


def _opposite_share(first: Floats, second: Floats) -> float | None:
    known = np.isfinite(first) & np.isfinite(second)
    return float((first * second < 0)[known].mean()) if known.any() else None


def _centred_ranks(values: Floats, prompt: Ints, prompts: int) -> Floats:
    """Ranks minus one half, which is their mean within a prompt, n; 0 where not finite."""
    known: Bools = np.isfinite(values)
    if known.all():
        return ranks(values, prompt, prompts) - 0.5
    centred = np.zeros(len(values))
    centred[known] = ranks(values[known], prompt[known], prompts) - 0.5
    return centred


def _mean_spearman(first: Floats, second: Floats, prompt: Ints, prompts: int) -> float | None:
    """Mean over the prompts in which neither scorer calls all candidates equal."""
    both, a, b = (
        np.bincount(prompt, product, minlength=prompts)
        for product in (first * second, first * first, second * second)
    )
    known = (a > 1e-12) & (b > 1e-12)
    return float((both[known] / np.sqrt(a[known] * b[known])).mean()) if known.any() else None


def margin_summary(margins: Floats) -> dict[str, float]:
    """Mean and quantiles; empty when there is no pair."""
    if not len(margins):
        return {}
    names = ("min", "p10", "median", "p90", "max")
    quantiles = np.quantile(margins, (0, 0.1, 0.5, 0.9, 1))
    return {"mean": float(margins.mean())} | dict(zip(names, quantiles.tolist(), strict=True))


def scorer_summaries(
    pair_set: PairSet, config: PairConfig, lower_is_better: Collection[str]
) -> dict[str, Summary]:
    """Scorer -> its part in the selection, and how it sees the pairs."""
    selection, pairs = pair_set.selection, pair_set.pairs
    summaries = {}
    for name, raw in selection.pool.raw.items():
        ranked = name in selection.ranking.weights
        role = "ranked" if ranked else "held_out" if name == config.held_out else "unused"
        sign = -1 if name in lower_is_better else 1
        head = {"weight": config.weights.get(name, 0.0), "role": role}
        summaries[name] = head | scorer_summary(raw[pairs.chosen], raw[pairs.rejected], sign)
    return summaries


def scorer_summary(chosen: Floats, rejected: Floats, sign: int) -> Summary:
    """How one scorer sees the pairs; `sign` is -1 when its lower scores are better.

    `agreement` is the share of pairs whose chosen it prefers, among those it does not call equal;
    `tie_rate` the share that it calls equal, among those it has scores of.
    """
    delta = chosen - rejected
    known = np.isfinite(delta)
    agree, disagree = int((sign * delta > 0).sum()), int((sign * delta < 0).sum())
    pairs, ties = int(known.sum()), int((delta == 0).sum())
    return {
        "pairs": pairs,
        "chosen_mean": _mean(chosen[known]),
        "rejected_mean": _mean(rejected[known]),
        "difference_mean": _mean(delta[known]),
        "agree": agree,
        "disagree": disagree,
        "ties": ties,
        "tie_rate": ties / pairs if pairs else None,
        "agreement": agree / (agree + disagree) if agree + disagree else None,
    }


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def in_conflict(selection: Selection, pairs: Pairs) -> int:
    """Pairs on which ranked scorers, with their weights, point in opposite directions."""
    raw = selection.pool.raw
    signs = np.stack(
        [
            np.sign(weight * (raw[name][pairs.chosen] - raw[name][pairs.rejected]))
            for name, weight in selection.ranking.weights.items()
        ]
    )
    return int(((signs > 0).any(axis=0) & (signs < 0).any(axis=0)).sum())
