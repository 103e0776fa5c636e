"""Which candidates are compared: each policy proposes pairs, thresholds filter them afterwards.

n candidates of p prompts, grouped by prompt or by seed, each group sorted from worst to best. Pairs
come in blocks, so that memory does not grow with their number. A policy never proposes two
candidates whose combined scores are equal, nor a chosen one that `may_win` (n) excludes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from invdpo.curate.pairing.pairs import Pairs, make_pairs
from invdpo.curate.pairing.pool import Floats, Ints, Pool
from invdpo.curate.pairing.ranking import TOLERANCE
from invdpo.curate.pairing.reasons import Bools
from invdpo.schemas import DataError
from invdpo.schemas.ids import derived_seed

BLOCK = 1_000_000
"""Pairs that are made at a time."""


class Groups(NamedTuple):
    """n candidates in g groups that follow each other in `order`."""

    order: Ints
    """Rows of the candidates, n: by group, then from worst to best, equal ones in their order."""
    start: Ints
    """Where each group begins in `order`, g."""
    size: Ints
    """Candidates of each group, g; 0 is possible."""

    def worst(self, groups: Ints) -> Ints:
        """The worst candidate of each of these groups, none of which may be empty."""
        return self.order[self.start[groups]]

    def best_index(self, allowed: Bools) -> Ints:
        """Index in `order` of each group's best candidate among `allowed` (n), g; -1 if none."""
        index = np.where(allowed[self.order], np.arange(len(self.order)), -1)
        filled = self.size > 0
        best = np.full(len(self.size), -1)
        if filled.any():
            best[filled] = np.maximum.reduceat(index, self.start[filled])
        return best


def group_candidates(key: Ints, groups: int, score: Floats) -> Groups:
    """Groups of candidates with the same `key`, 0 .. groups-1."""
    order = np.lexsort((score, key))
    count = np.bincount(key, minlength=groups)
    return Groups(order, np.cumsum(count) - count, count)


def pairs_within(groups: Groups) -> Iterator[tuple[Ints, Ints]]:
    """All pairs within groups as (better, worse) candidates, in blocks of about `BLOCK`."""
    for size in np.unique(groups.size[groups.size > 1]).tolist():
        low, high = np.triu_indices(size, 1)
        starts = groups.start[groups.size == size]
        at_once = max(1, BLOCK // len(low))
        for begin in range(0, len(starts), at_once):
            chunk = starts[begin : begin + at_once, None]
            yield groups.order[chunk + high].ravel(), groups.order[chunk + low].ravel()


class PolicyInput(NamedTuple):
    """What a policy chooses from."""

    pool: Pool
    combined: Floats
    may_win: Bools
    groups: Groups
    """The candidates of each prompt, p groups."""
    prompt_ids: list[str]
    """p."""
    min_margin: float
    seed: int


def best_worst(inputs: PolicyInput) -> Iterator[Pairs]:
    """The best candidate of each prompt that may win against the worst."""
    prompts, best = _winners(inputs)
    yield from _propose(inputs, best, inputs.groups.worst(prompts))


def best_random(inputs: PolicyInput) -> Iterator[Pairs]:
    """The best candidate that may win against a random one at least `min_margin` below it.

    Where there is none so far below, the worst. The draw depends on the prompt's id and the seed.
    """
    groups = inputs.groups
    prompts, best = _winners(inputs)
    highest = inputs.combined[best] - max(inputs.min_margin, TOLERANCE)
    below = _count_below(groups, inputs.combined, prompts, highest)
    draws = [derived_seed("random loser", inputs.seed, inputs.prompt_ids[p]) for p in prompts]
    index = groups.start[prompts] + np.array(draws, dtype=np.int64) % np.maximum(below, 1)
    yield from _propose(inputs, best, groups.order[index])


def all_pairs(inputs: PolicyInput) -> Iterator[Pairs]:
    """All pairs of each prompt whose better candidate may win."""
    for better, worse in pairs_within(inputs.groups):
        yield from _propose(inputs, better, worse)


def same_seed(inputs: PolicyInput) -> Iterator[Pairs]:
    """All pairs of each prompt that two models generated from the same seed.

    Raises `DataError` when the candidates table has no seed and model.
    """
    pool, origin = inputs.pool, inputs.pool.origin
    if origin is None:
        raise DataError("candidates: no columns seed, model and revision, which same-seed needs.")
    _, key = np.unique(np.stack([pool.prompt, origin.seed]), axis=1, return_inverse=True)
    size = int(key.max()) + 1 if len(key) else 0
    for better, worse in pairs_within(
        group_candidates(key.astype(np.int64), size, inputs.combined)
    ):
        known = origin.seed[better] >= 0
        two_models = known & (origin.model[better] != origin.model[worse])
        yield from _propose(inputs, better[two_models], worse[two_models])


POLICIES: dict[str, Callable[[PolicyInput], Iterator[Pairs]]] = {
    "best-worst": best_worst,
    "best-random": best_random,
    "all": all_pairs,
    "hard": all_pairs,
    "same-seed": same_seed,
}
"""By the name that the configuration gives them; thresholds keep the hard pairs of all pairs."""


def _winners(inputs: PolicyInput) -> tuple[Ints, Ints]:
    """Prompts that have a candidate that may win, and the best of these candidates."""
    index = inputs.groups.best_index(inputs.may_win)
    prompts = np.flatnonzero(index >= 0)
    return prompts, inputs.groups.order[index[prompts]]


def _count_below(groups: Groups, combined: Floats, prompts: Ints, highest: Floats) -> Ints:
    """How many candidates of each of these prompts score at most its value of `highest`."""
    limit = np.full(len(groups.size), -np.inf)
    limit[prompts] = highest
    prompt = np.repeat(np.arange(len(groups.size)), groups.size)
    below = combined[groups.order] <= limit[prompt]
    counts = np.bincount(prompt[below], minlength=len(groups.size))[prompts]
    return np.asarray(counts, dtype=np.int64)


def _propose(inputs: PolicyInput, better: Ints, worse: Ints) -> Iterator[Pairs]:
    pairs = make_pairs(inputs.pool, inputs.combined, better, worse)
    yield pairs.take((pairs.margin > TOLERANCE) & inputs.may_win[better])
