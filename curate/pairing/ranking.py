"""Makes one score of many: each scorer on a common scale, then their weighted mean.

The scale is the distance from the mean in standard deviations, within each prompt or over all
candidates, or the rank within the prompt. n candidates of p prompts; `prompt` holds each
candidate's prompt as 0 .. p-1. Scores may be NaN where a scorer that is not ranked has none; they
stay NaN and don't affect the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from invdpo.curate.pairing.pool import Floats, Ints, Pool
from invdpo.schemas import ConfigError

TOLERANCE = 1e-6
"""Scores of one prompt that differ by less than this share of their size are equal: most scorers
compute in single precision, which can't distinguish them."""


class Ranking(NamedTuple):
    """What candidates are compared by, on the scale of the normalisation; higher is better."""

    weights: Mapping[str, float]
    """Of the ranked scorers; negative where a lower raw score is better."""
    scores: Mapping[str, Floats]
    """Ranked scorer -> its scores, n, with the sign that makes higher better."""
    combined: Floats
    """The weighted mean, n."""

    def without(self, name: str) -> Floats:
        """The weighted mean of all ranked scorers but one, n."""
        weights = {scorer: abs(w) for scorer, w in self.weights.items() if scorer != name}
        mean = np.zeros(len(self.combined))
        for scorer, weight in weights.items():
            mean += weight / sum(weights.values()) * self.scores[scorer]
        return mean


def normalise_weights(weights: Mapping[str, float], scorers: Iterable[str]) -> dict[str, float]:
    """The weights that are not zero, divided by the sum of their absolute values.

    Raises `ConfigError` that lists every unknown scorer, or when all weights are 0 or cancel out.
    """
    known = sorted(scorers)
    problems = [
        f"pair.weights.{name}: no such scores in this workspace; there are: "
        f"{', '.join(known) or 'none'}. First run: invdpo curate score WORK --scorers {name}"
        for name in weights
        if name not in known
    ]
    total = sum(abs(weight) for weight in weights.values())
    if not problems and total == 0:
        problems = ["pair.weights: all are 0; give at least one scorer another weight"]
    elif not problems and total == np.inf:
        problems = ["pair.weights: their sum overflows; give smaller ones"]
    elif not problems and abs(sum(weights.values())) <= 1e-12 * total:
        listed = ", ".join(f"{name}={weight:g}" for name, weight in weights.items())
        text = "a scorer for which lower is better needs a positive weight, too"
        problems = [f"pair.weights: they cancel out, {listed} sum to 0; {text}"]
    if problems:
        raise ConfigError("\n  ".join(["Weights that can't be used:", *problems]))
    return {name: weight / total for name, weight in weights.items() if weight}


def apply_direction(
    weights: Mapping[str, float], lower_is_better: Collection[str]
) -> dict[str, float]:
    """The weights, negated for scorers whose lower scores are better."""
    return {name: -w if name in lower_is_better else w for name, w in weights.items()}


def combine(pool: Pool, prompts: int, weights: Mapping[str, float], kind: str) -> Ranking:
    """Rank the candidates by the weights of `apply_direction`, on the scale of `kind`."""
    scaled = {name: normalise(kind, pool.raw[name], pool.prompt, prompts) for name in weights}
    mean = np.zeros(len(pool.ids))
    for name, weight in weights.items():
        mean += weight * scaled[name]
    scores = {name: values if weights[name] > 0 else -values for name, values in scaled.items()}
    return Ranking(weights, scores, mean)


def standardise(values: Floats, prompt: Ints, prompts: int) -> Floats:
    """(x - mean) / sd over each prompt's candidates, n; sd with divisor n, zeros where it is 0."""
    count = np.maximum(np.bincount(prompt, minlength=prompts), 1)
    mean = np.bincount(prompt, values, minlength=prompts) / count
    centred = values - mean[prompt]
    deviation = np.sqrt(np.bincount(prompt, centred**2, minlength=prompts) / count)
    flat = (deviation <= TOLERANCE * _magnitude(values, prompt, prompts))[prompt]
    scaled: Floats = np.where(flat, 0.0, centred / np.where(flat, 1.0, deviation[prompt]))
    return scaled


def standardise_all(values: Floats, prompt: Ints, prompts: int) -> Floats:
    """(x - mean) / sd over all candidates, n; sd with divisor n, zeros where it is 0."""
    return standardise(values, np.zeros(len(values), dtype=np.int64), 1)


def ranks(values: Floats, prompt: Ints, prompts: int) -> Floats:
    """Rank within the prompt, n: 0 for the lowest, 1 for the highest; equal values share a rank.

    They share the mean of their ranks. One half where a prompt has one candidate.
    """
    tolerance = TOLERANCE * _magnitude(values, prompt, prompts)
    by_prompt = np.argsort(prompt, kind="stable")
    count = np.bincount(prompt, minlength=prompts)
    start = np.cumsum(count) - count
    scaled = np.full(len(values), 0.5)
    for size in np.unique(count[count > 1]).tolist():
        same_size = np.flatnonzero(count == size)
        rows = by_prompt[start[same_size, None] + np.arange(size)]
        scaled[rows] = _mean_ranks(values[rows], tolerance[same_size]) / (size - 1)
    return scaled


def _mean_ranks(values: Floats, tolerance: Floats) -> Floats:
    """Rank of each value in its row, from 0, g x k; the mean rank where values are equal.

    Neighbours in order that differ by at most `tolerance` (g) are equal.
    """
    groups, size = values.shape
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    starts = np.ones((groups, size), dtype=bool)
    starts[:, 1:] = np.diff(ordered, axis=1) > tolerance[:, None]
    run = np.cumsum(starts) - 1
    rank = np.tile(np.arange(size, dtype=np.float64), groups)
    mean = (np.bincount(run, rank) / np.bincount(run))[run]
    mean_ranks = np.empty((groups, size))
    np.put_along_axis(mean_ranks, order, mean.reshape(groups, size), axis=1)
    return mean_ranks


def _magnitude(values: Floats, prompt: Ints, prompts: int) -> Floats:
    """The greatest absolute value of each prompt, p."""
    greatest = np.zeros(prompts)
    np.maximum.at(greatest, prompt, np.abs(values))
    return greatest


NORMALISATIONS: dict[str, Callable[[Floats, Ints, int], Floats]] = {
    "prompt": standardise,
    "global": standardise_all,
    "rank": ranks,
}
"""By the name that the configuration gives them: (raw scores, their prompts, number of prompts) ->
scores on a common scale, n."""


def normalise(kind: str, values: Floats, prompt: Ints, prompts: int) -> Floats:
    """Scores on the scale of `kind`, n; NaN where they are NaN."""
    known = np.isfinite(values)
    if known.all():
        return NORMALISATIONS[kind](values, prompt, prompts)
    scaled = np.full(len(values), np.nan)
    scaled[known] = NORMALISATIONS[kind](values[known], prompt[known], prompts)
    return scaled
