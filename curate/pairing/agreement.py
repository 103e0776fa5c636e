"""How far scorers agree: over candidates, by rank correlation, and on the pairs, by direction.

s scorers; every score is turned so that higher is better. n candidates of p prompts, m pairs.


MERGED: How the scorers, each by itself and together, see the pairs that were cut.
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

Matrix = list[list[float | None]]


def agreement(
    scores: Mapping[str, Floats], prompt: Ints, prompts: int, pairs: Pairs
) -> dict[str, Any]:
    """Mean Spearman correlation within prompts, and the share of pairs seen opposite ways.

    s x s each, None where undefined. A scorer that calls a pair equal takes no side.
    """
    names = list(scores)
    signs = {name: np.sign(_lead(scores[name], pairs)) for name in names}
    order = np.argsort(prompt, kind="stable")  # once, so that each ranking finds prompts together
    prompt, scores = prompt[order], {name: values[order] for name, values in scores.items()}
    ranked = {name: _centred_ranks(scores[name], prompt, prompts) for name in names}
    correlation: dict[tuple[str, str], float | None] = {}
    apart: dict[tuple[str, str], float | None] = {}
    for one, other in [*combinations(names, 2), *((name, name) for name in names)]:
        known = np.isfinite(scores[one]) & np.isfinite(scores[other])
        a, b = ranked[one], ranked[other]
        rows = prompt
        if not known.all():
            rows = prompt[known]
            a, b = (_centred_ranks(scores[n][known], rows, prompts) for n in (one, other))
        correlation[one, other] = correlation[other, one] = _spearman(a, b, rows, prompts)
        apart[one, other] = apart[other, one] = _apart(signs[one], signs[other])
    return {
        "scorers": names,
        "rank_correlation": [[correlation[one, other] for other in names] for one in names],
        "disagreement": [[apart[one, other] for other in names] for one in names],
    }


def _lead(scores: Floats, pairs: Pairs) -> Floats:
    return scores[pairs.chosen] - scores[pairs.rejected]


def _apart(one: Floats, other: Floats) -> float | None:
    known = np.isfinite(one) & np.isfinite(other)
    return float((one * other < 0)[known].mean()) if known.any() else None


def _centred_ranks(values: Floats, prompt: Ints, prompts: int) -> Floats:
    """Ranks minus one half, which is their mean within a prompt, n; 0 where not finite."""
    known: Bools = np.isfinite(values)
    if known.all():
        return ranks(values, prompt, prompts) - 0.5
    found = np.zeros(len(values))
    found[known] = ranks(values[known], prompt[known], prompts) - 0.5
    return found


def _spearman(one: Floats, other: Floats, prompt: Ints, prompts: int) -> float | None:
    """Mean over the prompts in which neither calls all candidates equal."""
    both, a, b = (
        np.bincount(prompt, product, minlength=prompts)
        for product in (one * other, one * one, other * other)
    )
    known = (a > 1e-12) & (b > 1e-12)
    return float((both[known] / np.sqrt(a[known] * b[known])).mean()) if known.any() else None


Summary = dict[str, Any]


def margin_summary(margins: Floats) -> dict[str, float]:
    """Mean and quantiles; empty when there is no pair."""
    if not len(margins):
        return {}
    names = ("min", "p10", "median", "p90", "max")
    quantiles = np.quantile(margins, (0, 0.1, 0.5, 0.9, 1))
    return {"mean": float(margins.mean())} | dict(zip(names, quantiles.tolist(), strict=True))


def scorer_summaries(
    cut: PairSet, config: PairConfig, lower_is_better: Collection[str]
) -> dict[str, Summary]:
    """Scorer -> its part in the choice, and how it sees the pairs."""
    found = {}
    for name, raw in cut.choice.pool.raw.items():
        ranked = name in cut.choice.ranking.weights
        role = "ranked" if ranked else "held_out" if name == config.held_out else "unused"
        ends = raw[cut.pairs.chosen], raw[cut.pairs.rejected]
        sign = -1 if name in lower_is_better else 1
        head = {"weight": config.weights.get(name, 0.0), "role": role}
        found[name] = head | scorer_summary(*ends, sign)
    return found


def scorer_summary(chosen: Floats, rejected: Floats, sign: int) -> Summary:
    """How one scorer sees the pairs; `sign` is -1 when its lower scores are better.

    `agreement` is the share of pairs it prefers the chosen of, among those it does not call equal;
    `tie_rate` the share of those it knows that it calls equal.
    """
    delta = chosen - rejected
    known = np.isfinite(delta)
    agree, against = int((sign * delta > 0).sum()), int((sign * delta < 0).sum())
    pairs, ties = int(known.sum()), int((delta == 0).sum())
    return {
        "pairs": pairs,
        "chosen_mean": _mean(chosen[known]),
        "rejected_mean": _mean(rejected[known]),
        "difference_mean": _mean(delta[known]),
        "agree": agree,
        "disagree": against,
        "ties": ties,
        "tie_rate": ties / pairs if pairs else None,
        "agreement": agree / (agree + against) if agree + against else None,
    }


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def in_conflict(choice: Selection, pairs: Pairs) -> int:
    """Pairs on which ranked scorers, as they are weighted, point in opposite directions."""
    ends = [
        (weight, choice.pool.raw[name][pairs.chosen], choice.pool.raw[name][pairs.rejected])
        for name, weight in choice.ranking.weights.items()
    ]
    signs = np.stack([np.sign(weight * (chosen - rejected)) for weight, chosen, rejected in ends])
    return int(((signs > 0).any(axis=0) & (signs < 0).any(axis=0)).sum())
