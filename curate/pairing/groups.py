"""Candidates in groups (of one prompt, of one seed), each sorted from worst to best."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from invdpo.curate.pairing.pool import Floats, Ints
from invdpo.curate.pairing.sieve import Bools

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
