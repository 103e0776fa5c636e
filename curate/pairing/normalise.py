"""Each scorer on a common scale: within each prompt, over all candidates, or as ranks.

n candidates of p prompts; `prompt` holds each candidate's prompt as 0 .. p-1. Scores may be NaN
where a scorer that is not ranked has none; they stay NaN and do not touch the others.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from invdpo.curate.pairing.pool import Floats, Ints

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
