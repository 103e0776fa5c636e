"""Pairs as columns: which candidates of the pool meet, and who of them is chosen.

MERGED: At most so many pairs of one prompt, and no picture twice: the widest margins stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from json.encoder import encode_basestring
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from invdpo.curate.pairing.pool import Floats, Ints, Pool
from invdpo.curate.pairing.reasons import Bools
from invdpo.schemas.ids import text_id


class Pairs(NamedTuple):
    """m pairs; candidates as rows of the pool."""

    prompt: Ints
    chosen: Ints
    rejected: Ints
    margin: Floats
    """Combined score of the chosen minus that of the rejected; below 0 where a person turned it."""
    pinned: Bools
    """Kept or turned by a person: no threshold drops them."""

    def take(self, rows: Ints | Bools) -> Pairs:
        """Only these pairs, in this order."""
        return Pairs(
            self.prompt[rows],
            self.chosen[rows],
            self.rejected[rows],
            self.margin[rows],
            self.pinned[rows],
        )

    def turned(self, rows: Bools) -> Pairs:
        """The same with chosen and rejected swapped where `rows` says so."""
        return self._replace(
            chosen=np.where(rows, self.rejected, self.chosen),
            rejected=np.where(rows, self.chosen, self.rejected),
            margin=np.where(rows, -self.margin, self.margin),
        )

    def ids(self, pool: Pool) -> NDArray[np.object_]:
        """A content id for each pair, m."""
        return pair_ids(pool.ids[self.chosen], pool.ids[self.rejected])


def make_pairs(pool: Pool, combined: Floats, chosen: Ints, rejected: Ints) -> Pairs:
    """Pairs of these candidates, m each."""
    margin = combined[chosen] - combined[rejected]
    pinned = np.zeros(len(chosen), dtype=bool)
    return Pairs(pool.prompt[chosen], chosen, rejected, margin, pinned)


def concat_pairs(blocks: Sequence[Pairs]) -> Pairs:
    """One block of many; an empty one of none."""
    if not blocks:
        none = np.zeros(0, dtype=np.int64)
        return Pairs(none, none, none, np.zeros(0), np.zeros(0, dtype=bool))
    return Pairs(*(np.concatenate(columns) for columns in zip(*blocks, strict=True)))


def pair_ids(chosen: NDArray[np.object_], rejected: NDArray[np.object_]) -> NDArray[np.object_]:
    """`content_id("pair", chosen, rejected)` of each pair of candidate ids, m, at less cost."""
    quoted = (map(encode_basestring, side) for side in (chosen, rejected))
    texts = (f'["pair",{one},{other}]' for one, other in zip(*quoted, strict=True))
    return np.array([text_id(text) for text in texts], dtype=object)


def by_prompt(pairs: Pairs) -> Ints:
    """Rows by prompt, within it pinned ones first, then the widest margin, then the ids, m."""
    return np.lexsort((pairs.rejected, pairs.chosen, -pairs.margin, ~pairs.pinned, pairs.prompt))


def occurrence_numbers(prompt: Ints) -> Ints:
    """Place of each row among those of its prompt, which must lie together, m; from 0."""
    new = np.ones(len(prompt), dtype=bool)
    new[1:] = prompt[1:] != prompt[:-1]
    start = np.flatnonzero(new)
    return np.arange(len(prompt)) - np.repeat(start, np.diff([*start, len(prompt)]))


def repeated(pairs: Pairs, candidates: int) -> Bools:
    """Pairs, ordered by `by_prompt`, with a picture that one before them uses, m.

    Greedy within each prompt; all prompts take each turn together.
    """
    used = np.zeros(candidates, dtype=bool)
    out = np.zeros(len(pairs.prompt), dtype=bool)
    place = occurrence_numbers(pairs.prompt)
    order = np.argsort(place, kind="stable")
    for rows in np.split(order, np.cumsum(np.bincount(place))[:-1]) if len(order) else ():
        chosen, rejected = pairs.chosen[rows], pairs.rejected[rows]
        out[rows] = used[chosen] | used[rejected]
        free = ~out[rows]
        used[chosen[free]] = used[rejected[free]] = True
    return out
