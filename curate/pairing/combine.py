"""One score from many: the weighted mean of standardised scores."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from invdpo.curate.pairing.normalise import standardise
from invdpo.curate.pairing.pool import Floats, Pool
from invdpo.schemas import ConfigError


def ranked(weights: Mapping[str, float], scorers: Iterable[str]) -> dict[str, float]:
    """The weights that are not zero, divided by the sum of their absolute values.

    Raises `ConfigError` that lists every unknown scorer, or when all weights are 0.
    """
    known = sorted(scorers)
    wrong = [
        f"pair.weights.{name}: no such scores in this workspace; there are: {', '.join(known)}"
        for name in weights
        if name not in known
    ]
    total = sum(abs(weight) for weight in weights.values())
    if not wrong and total == 0:
        wrong = ["pair.weights: all are 0; give at least one scorer another weight"]
    if wrong:
        raise ConfigError("\n  ".join(["Weights that can't be used:", *wrong]))
    return {name: weight / total for name, weight in weights.items() if weight}


def directed(weights: Mapping[str, float], lower_is_better: Collection[str]) -> dict[str, float]:
    """The weights with the sign turned for scorers whose lower scores are better."""
    return {name: -w if name in lower_is_better else w for name, w in weights.items()}


def combine(pool: Pool, prompts: int, weights: Mapping[str, float]) -> Floats:
    """Combined score of each candidate, n, in standard deviations of its prompt."""
    total = np.zeros(len(pool.ids))
    for name, weight in weights.items():
        total += weight * standardise(pool.raw[name], pool.prompt, prompts)
    return total
