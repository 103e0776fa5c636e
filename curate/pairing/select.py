"""The best against the worst candidate of each prompt, and which of these pairs are kept.

n candidates of p prompts; indices of candidates point into the pool.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from invdpo.curate.pairing.normalise import TOLERANCE
from invdpo.curate.pairing.pool import Bools, Floats, Ints, Pool, Sieve
from invdpo.schemas.ids import content_id, derived_seed

NONE = "no candidate"
UNUSABLE = "no usable candidate"
ONE = "one usable candidate"
EQUAL = "all candidates score the same"
ALIKE = "best and worst look and score the same"
MARGIN = "margin below min_margin"
BEYOND = "more pairs than target_pairs"

NEAR = 0.01
"""Raw scores this share of their size apart, or less, do not tell two look-alikes apart."""


class Extremes(NamedTuple):
    """Best and worst candidate of each prompt, p; -1 where a prompt has no candidate."""

    best: Ints
    worst: Ints
    margin: Floats
    """Difference of their combined scores, p; 0 where there is no candidate."""
    usable: Ints
    """Usable candidates, p."""


def extremes(pool: Pool, combined: Floats, prompts: int) -> Extremes:
    """Rank each prompt's candidates; between equal scores the order of the ids decides."""
    order = np.lexsort((combined, pool.prompt))
    count = np.bincount(pool.prompt, minlength=prompts)
    last = np.cumsum(count)
    worst, best = np.full(prompts, -1), np.full(prompts, -1)
    there = count > 0
    worst[there] = order[(last - count)[there]]
    best[there] = order[last[there] - 1]
    margin = np.zeros(prompts)
    margin[there] = combined[best[there]] - combined[worst[there]]
    return Extremes(best, worst, margin, count)


def sift(pool: Pool, found: Extremes, had_any: Bools, min_margin: float) -> Sieve:
    """Which prompts give a pair; `had_any` tells those that had a candidate at all, p."""
    sieve = Sieve(len(found.usable))
    sieve.drop(~had_any, NONE)
    sieve.drop(found.usable == 0, UNUSABLE)
    sieve.drop(found.usable == 1, ONE)
    sieve.drop(found.margin <= TOLERANCE, EQUAL)
    sieve.drop(_alike(pool, found, sieve.kept), ALIKE)
    sieve.drop(found.margin < min_margin, MARGIN)
    return sieve


def _alike(pool: Pool, found: Extremes, kept: Bools) -> Bools:
    """Prompts whose best and worst can't be told apart, p.

    A perceptual hash is blind to colour, so the raw scores must agree, too.
    """
    best, worst = found.best[kept], found.worst[kept]
    same = (pool.look[best] == pool.look[worst]) & (pool.look[best] != None)  # noqa: E711
    for raw in pool.raw.values():
        one, other = raw[best], raw[worst]
        near = np.abs(one - other) <= NEAR * np.maximum(np.abs(one), np.abs(other))
        same &= near | np.isnan(one - other)
    alike = np.zeros(len(kept), dtype=bool)
    alike[kept] = same
    return alike


def pair_ids(pool: Pool, found: Extremes, rows: Ints) -> NDArray[np.object_]:
    """A content id for the pair of each prompt in `rows`."""
    chosen, rejected = pool.ids[found.best[rows]], pool.ids[found.worst[rows]]
    ids = [content_id("pair", *pair) for pair in zip(chosen, rejected, strict=True)]
    return np.array(ids, dtype=object)


def keep_target(sieve: Sieve, rows: Ints, ids: NDArray[np.object_], target: int | None) -> None:
    """Drop all but `target` pairs: those whose ids, which are hashes, come first.

    This is a random subset that does not change the mix of margins, the same on any machine, and a
    larger target keeps all pairs of a smaller one.
    """
    if target is not None and len(rows) > target:
        beyond = np.zeros(len(sieve.kept), dtype=bool)
        beyond[rows[np.argsort(ids)[target:]]] = True
        sieve.drop(beyond, BEYOND)


def splits(groups: NDArray[np.object_], fraction: float, seed: int) -> NDArray[np.object_]:
    """`validation` or `train` for each group, decided by a hash of the group and the seed alone."""
    names, index = np.unique(groups, return_inverse=True)
    held = [derived_seed("split", seed, str(name)) < fraction * 2**63 for name in names]
    return np.where(np.array(held, dtype=bool)[index], "validation", "train").astype(object)
