"""How far scorers agree: over candidates, by rank correlation, and on the pairs, by direction.

s scorers; every score is turned so that higher is better. n candidates of p prompts, m pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from invdpo.curate.pairing.normalise import ranks
from invdpo.curate.pairing.pairs import Pairs
from invdpo.curate.pairing.pool import Floats, Ints
from invdpo.curate.pairing.sieve import Bools

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
