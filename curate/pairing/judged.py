"""How the scorers, each by itself and together, see the pairs that were cut."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from invdpo.curate.pairing.choose import Choice
from invdpo.curate.pairing.cutting import Cut
from invdpo.curate.pairing.pairs import Pairs
from invdpo.curate.pairing.pool import Floats
from invdpo.schemas.config import PairConfig

Summary = dict[str, Any]


def margin_summary(margins: Floats) -> dict[str, float]:
    """Mean and quantiles; empty when there is no pair."""
    if not len(margins):
        return {}
    names = ("min", "p10", "median", "p90", "max")
    quantiles = np.quantile(margins, (0, 0.1, 0.5, 0.9, 1))
    return {"mean": float(margins.mean())} | dict(zip(names, quantiles.tolist(), strict=True))


def scorer_summaries(
    cut: Cut, config: PairConfig, lower_is_better: Collection[str]
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


def in_conflict(choice: Choice, pairs: Pairs) -> int:
    """Pairs on which ranked scorers, as they are weighted, point in opposite directions."""
    ends = [
        (weight, choice.pool.raw[name][pairs.chosen], choice.pool.raw[name][pairs.rejected])
        for name, weight in choice.ranking.weights.items()
    ]
    signs = np.stack([np.sign(weight * (chosen - rejected)) for weight, chosen, rejected in ends])
    return int(((signs > 0).any(axis=0) & (signs < 0).any(axis=0)).sum())
