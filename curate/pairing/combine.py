"""One score from many: the weighted mean of scores on a common scale."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from invdpo.curate.pairing.normalise import normalise
from invdpo.curate.pairing.pool import Floats, Pool
from invdpo.schemas import ConfigError


class Ranking(NamedTuple):
    """What candidates are compared by, on the scale of the normalisation; higher is better."""

    weights: Mapping[str, float]
    """Of the ranked scorers; negative where lower combined scores result from higher raw ones."""
    each: Mapping[str, Floats]
    """Ranked scorer -> its scores, n, turned so that higher is better."""
    combined: Floats
    """The weighted mean, n."""

    def without(self, name: str) -> Floats:
        """The weighted mean of all ranked scorers but one, n."""
        others = {other: abs(w) for other, w in self.weights.items() if other != name}
        total = np.zeros(len(self.combined))
        for other, weight in others.items():
            total += weight / sum(others.values()) * self.each[other]
        return total


def ranked(weights: Mapping[str, float], scorers: Iterable[str]) -> dict[str, float]:
    """The weights that are not zero, divided by the sum of their absolute values.

    Raises `ConfigError` that lists every unknown scorer, or when all weights are 0 or cancel.
    """
    known = sorted(scorers)
    wrong = [
        f"pair.weights.{name}: no such scores in this workspace; there are: "
        f"{', '.join(known) or 'none'}. First run: invdpo curate score WORK --scorers {name}"
        for name in weights
        if name not in known
    ]
    total = sum(abs(weight) for weight in weights.values())
    if not wrong and total == 0:
        wrong = ["pair.weights: all are 0; give at least one scorer another weight"]
    elif not wrong and abs(sum(weights.values())) <= 1e-12 * total:
        text = "a scorer whose lower scores are better is turned round by itself: weigh it above 0"
        wrong = [f"pair.weights: they cancel, {_listed(weights)} sum to 0; {text}"]
    if wrong:
        raise ConfigError("\n  ".join(["Weights that can't be used:", *wrong]))
    return {name: weight / total for name, weight in weights.items() if weight}


def _listed(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={weight:g}" for name, weight in weights.items())


def directed(weights: Mapping[str, float], lower_is_better: Collection[str]) -> dict[str, float]:
    """The weights with the sign turned for scorers whose lower scores are better."""
    return {name: -w if name in lower_is_better else w for name, w in weights.items()}


def combine(pool: Pool, prompts: int, weights: Mapping[str, float], kind: str) -> Ranking:
    """Rank the candidates by directed weights, on the scale of the normalisation `kind`."""
    scaled = {name: normalise(kind, pool.raw[name], pool.prompt, prompts) for name in weights}
    total = np.zeros(len(pool.ids))
    for name, weight in weights.items():
        total += weight * scaled[name]
    each = {name: values if weights[name] > 0 else -values for name, values in scaled.items()}
    return Ranking(weights, each, total)
