"""Standardised scores: each scorer on a common scale, within each prompt.

n candidates of p prompts; `prompt` holds each candidate's prompt as 0 .. p-1.
"""

from __future__ import annotations

import numpy as np

from invdpo.curate.pairing.pool import Floats, Ints

TOLERANCE = 1e-6
"""Scores of one prompt that differ by less than this share of their size are equal: single
precision, in which most scorers compute, tells no more."""


def standardise(values: Floats, prompt: Ints, prompts: int) -> Floats:
    """(x - mean) / sd over each prompt's candidates, n; sd with divisor n, zeros where it is 0."""
    count = np.maximum(np.bincount(prompt, minlength=prompts), 1)
    mean = np.bincount(prompt, values, minlength=prompts) / count
    centred = values - mean[prompt]
    deviation = np.sqrt(np.bincount(prompt, centred**2, minlength=prompts) / count)
    size = np.zeros(prompts)
    np.maximum.at(size, prompt, np.abs(values))
    flat = (deviation <= TOLERANCE * size)[prompt]
    scaled: Floats = np.where(flat, 0.0, centred / np.where(flat, 1.0, deviation[prompt]))
    return scaled
