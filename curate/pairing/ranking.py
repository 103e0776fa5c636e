"""One score from many: the weighted mean of scores on a common scale.

MERGED: Each scorer on a common scale: within each prompt, over all candidates, or as ranks.

n candidates of p prompts; `prompt` holds each candidate's prompt as 0 .. p-1. Scores may be NaN
where a scorer that is not ranked has none; they stay NaN and do not touch the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from invdpo.curate.pairing.pool import Floats, Ints, Pool
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


TOLERANCE = 1e-6
"""Scores of one prompt that differ by less than this share of their size are equal: single
precision, in which most scorers compute, tells no more."""


Normalise = Callable[[Floats, Ints, int], Floats]
"""(raw scores, their prompts, number of prompts) -> scores on a common scale, n."""


def standardise(values: Floats, prompt: Ints, prompts: int) -> Floats:
    """(x - mean) / sd over each prompt's candidates, n; sd with divisor n, zeros where it is 0."""
    count = np.maximum(np.bincount(prompt, minlength=prompts), 1)
    mean = np.bincount(prompt, values, minlength=prompts) / count
    centred = values - mean[prompt]
    deviation = np.sqrt(np.bincount(prompt, centred**2, minlength=prompts) / count)
    flat = (deviation <= TOLERANCE * _size(values, prompt, prompts))[prompt]
    scaled: Floats = np.where(flat, 0.0, centred / np.where(flat, 1.0, deviation[prompt]))
    return scaled


def standardise_all(values: Floats, prompt: Ints, prompts: int) -> Floats:
    """(x - mean) / sd over all candidates, n; sd with divisor n, zeros where it is 0."""
    return standardise(values, np.zeros(len(values), dtype=np.int64), 1)


def ranks(values: Floats, prompt: Ints, prompts: int) -> Floats:
    """Rank within the prompt, n: 0 the lowest, 1 the highest, the mean of their places for equals.

    One half where a prompt has one candidate.
    """
    near = TOLERANCE * _size(values, prompt, prompts)
    by_prompt = np.argsort(prompt, kind="stable")
    count = np.bincount(prompt, minlength=prompts)
    start = np.cumsum(count) - count
    found = np.full(len(values), 0.5)
    for size in np.unique(count[count > 1]).tolist():
        some = np.flatnonzero(count == size)
        rows = by_prompt[start[some, None] + np.arange(size)]
        found[rows] = _places(values[rows], near[some]) / (size - 1)
    return found


def _places(values: Floats, near: Floats) -> Floats:
    """Place of each value in its row, from 0, g x k; the mean place where they are equal.

    Neighbours in order that differ by at most `near` (g) are equal.
    """
    groups, size = values.shape
    order = np.argsort(values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    starts = np.ones((groups, size), dtype=bool)
    starts[:, 1:] = np.diff(ordered, axis=1) > near[:, None]
    run = np.cumsum(starts) - 1
    place = np.tile(np.arange(size, dtype=np.float64), groups)
    mean = (np.bincount(run, place) / np.bincount(run))[run]
    found = np.empty((groups, size))
    np.put_along_axis(found, order, mean.reshape(groups, size), axis=1)
    return found


def _size(values: Floats, prompt: Ints, prompts: int) -> Floats:
    """The greatest absolute value of each prompt, p."""
    size = np.zeros(prompts)
    np.maximum.at(size, prompt, np.abs(values))
    return size


NORMALISATIONS: dict[str, Normalise] = {
    "prompt": standardise,
    "global": standardise_all,
    "rank": ranks,
}
"""By the name that the configuration gives them."""


def normalise(kind: str, values: Floats, prompt: Ints, prompts: int) -> Floats:
    """Scores on the scale of `kind`, n; NaN where they are NaN."""
    known = np.isfinite(values)
    if known.all():
        return NORMALISATIONS[kind](values, prompt, prompts)
    found = np.full(len(values), np.nan)
    found[known] = NORMALISATIONS[kind](values[known], prompt[known], prompts)
    return found
