"""Which candidates meet: each policy proposes pairs, in blocks; thresholds judge them afterwards.

n candidates of p prompts. A policy never proposes two candidates whose combined scores are equal,
nor a chosen that `may_win` (n) excludes.


MERGED: Candidates in groups (of one prompt, of one seed), each sorted from worst to best.
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


class PolicyInput(NamedTuple):
    """What a policy chooses from."""

    pool: Pool
    combined: Floats
    may_win: Bools
    groups: Groups
    """The candidates of each prompt, p groups."""
    names: list[str]
    """Prompt ids, p."""
    min_margin: float
    seed: int


def best_worst(field: PolicyInput) -> Iterator[Pairs]:
    """The best candidate of each prompt that may win against the worst."""
    prompts, best = _winners(field)
    yield from _proposed(field, best, field.groups.worst(prompts))


def best_random(field: PolicyInput) -> Iterator[Pairs]:
    """The best that may win against one drawn from those at least `min_margin` below it.

    Where there is none so far below, the worst. The draw depends on the prompt's id and the seed.
    """
    groups = field.groups
    prompts, best = _winners(field)
    start = groups.start[prompts]
    line = field.combined[best] - max(field.min_margin, TOLERANCE)
    below = _below(groups, field.combined, prompts, line)
    draws = [derived_seed("random loser", field.seed, field.names[p]) for p in prompts]
    place = start + np.array(draws, dtype=np.int64) % np.maximum(below, 1)
    yield from _proposed(field, best, groups.order[place])


def every_pair(field: PolicyInput) -> Iterator[Pairs]:
    """All pairs of each prompt whose better candidate may win."""
    for better, worse in every_two(field.groups):
        yield from _proposed(field, better, worse)


def same_seed(field: PolicyInput) -> Iterator[Pairs]:
    """All pairs of each prompt that two models drew from one seed.

    Raises `DataError` where the candidates do not tell seed and model.
    """
    pool, origin = field.pool, field.pool.origin
    if origin is None:
        raise DataError("candidates: no columns seed, model and revision, which same-seed needs.")
    _, key = np.unique(np.stack([pool.prompt, origin.seed]), axis=1, return_inverse=True)
    size = int(key.max()) + 1 if len(key) else 0
    for better, worse in every_two(grouped(key.astype(np.int64), size, field.combined)):
        known = origin.seed[better] >= 0
        other = known & (origin.model[better] != origin.model[worse])
        yield from _proposed(field, better[other], worse[other])


POLICIES: dict[str, Callable[[PolicyInput], Iterator[Pairs]]] = {
    "best-worst": best_worst,
    "best-random": best_random,
    "all": every_pair,
    "hard": every_pair,
    "same-seed": same_seed,
}
"""By the name that the configuration gives them; hard pairs are sorted out by thresholds."""


def _winners(field: PolicyInput) -> tuple[Ints, Ints]:
    """Prompts that have a candidate that may win, and the best of these."""
    place = field.groups.last(field.may_win)
    prompts = np.flatnonzero(place >= 0)
    return prompts, field.groups.order[place[prompts]]


def _below(groups: Groups, combined: Floats, prompts: Ints, line: Floats) -> Ints:
    """How many candidates of each prompt score at most `line`; both in the order of `prompts`."""
    limit = np.full(len(groups.size), -np.inf)
    limit[prompts] = line
    prompt = np.repeat(np.arange(len(groups.size)), groups.size)
    under = combined[groups.order] <= limit[prompt]
    found = np.bincount(prompt[under], minlength=len(groups.size))[prompts]
    return np.asarray(found, dtype=np.int64)


def _proposed(field: PolicyInput, better: Ints, worse: Ints) -> Iterator[Pairs]:
    pairs = make_pairs(field.pool, field.combined, better, worse)
    yield pairs.take((pairs.margin > TOLERANCE) & field.may_win[better])


BLOCK = 1_000_000
"""Pairs that are made at a time, so that memory does not grow with their number."""


class Groups(NamedTuple):
    """n candidates in g groups that lie one after another in `order`."""

    order: Ints
    """Rows of the candidates: by group, then by score, then as they came, n."""
    start: Ints
    """Where each group begins in `order`, g."""
    size: Ints
    """Candidates of each group, g; 0 is possible."""

    def worst(self, groups: Ints) -> Ints:
        """The worst candidate of each of these groups, none of which may be empty."""
        return self.order[self.start[groups]]

    def last(self, may: Bools) -> Ints:
        """Place in `order` of each group's best candidate that `may` (n) allows, g; -1 if none."""
        place = np.where(may[self.order], np.arange(len(self.order)), -1)
        there = self.size > 0
        found = np.full(len(self.size), -1)
        if there.any():
            found[there] = np.maximum.reduceat(place, self.start[there])
        return found


def grouped(key: Ints, groups: int, score: Floats) -> Groups:
    """Groups by `key`, 0 .. groups-1; between equal scores the order of arrival decides."""
    order = np.lexsort((score, key))
    count = np.bincount(key, minlength=groups)
    return Groups(order, np.cumsum(count) - count, count)


def every_two(groups: Groups) -> Iterator[tuple[Ints, Ints]]:
    """All pairs within groups as (better, worse) candidates, in blocks of about `BLOCK`."""
    for size in np.unique(groups.size[groups.size > 1]).tolist():
        low, high = np.triu_indices(size, 1)
        starts = groups.start[groups.size == size]
        at_once = max(1, BLOCK // len(low))
        for first in range(0, len(starts), at_once):
            some = starts[first : first + at_once, None]
            yield groups.order[some + high].ravel(), groups.order[some + low].ravel()
