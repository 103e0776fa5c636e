"""Pairs as columns: which candidates of the pool are paired, and which of the two is chosen.

Also the caps on them: at most so many pairs of one prompt, and no image twice; the pairs with the
widest margins stay. m pairs.
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
    """Combined score of the chosen minus that of the rejected; negative where a person flipped."""
    kept_by_review: Bools
    """Kept or flipped by a person: no threshold drops them."""

    def take(self, rows: Ints | Bools) -> Pairs:
        """Only these pairs, in this order."""
        return Pairs(
            self.prompt[rows],
            self.chosen[rows],
            self.rejected[rows],
            self.margin[rows],
            self.kept_by_review[rows],
        )

    def flipped(self, rows: Bools) -> Pairs:
        """The same pairs with chosen and rejected swapped in these rows (m booleans)."""
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
    kept_by_review = np.zeros(len(chosen), dtype=bool)
    return Pairs(pool.prompt[chosen], chosen, rejected, margin, kept_by_review)


def concat_pairs(blocks: Sequence[Pairs]) -> Pairs:
    """One block of many; an empty one of none."""
    if not blocks:
        empty = np.zeros(0, dtype=np.int64)
        return Pairs(empty, empty, empty, np.zeros(0), np.zeros(0, dtype=bool))
    return Pairs(*(np.concatenate(columns) for columns in zip(*blocks, strict=True)))


def pair_ids(chosen: NDArray[np.object_], rejected: NDArray[np.object_]) -> NDArray[np.object_]:
    """`content_id("pair", chosen, rejected)` of each pair of candidate ids, m, but faster."""
    quoted = (map(encode_basestring, ids) for ids in (chosen, rejected))
    texts = (f'["pair",{first},{second}]' for first, second in zip(*quoted, strict=True))
    return np.array([text_id(text) for text in texts], dtype=object)


def order_within_prompts(pairs: Pairs) -> Ints:
    """Rows by prompt, then kept by review first, then the widest margin, then the ids, m."""
    keys = (pairs.rejected, pairs.chosen, -pairs.margin, ~pairs.kept_by_review, pairs.prompt)
    return np.lexsort(keys)


def occurrence_numbers(prompt: Ints) -> Ints:
    """How many rows of the same prompt precede each row, m; rows of a prompt must be adjacent."""
    is_first = np.ones(len(prompt), dtype=bool)
    is_first[1:] = prompt[1:] != prompt[:-1]
    start = np.flatnonzero(is_first)
    return np.arange(len(prompt)) - np.repeat(start, np.diff([*start, len(prompt)]))


def reuse_a_picture(pairs: Pairs, candidates: int) -> Bools:
    """Which pairs have an image that a pair before them has, m; in `order_within_prompts`.

    Greedy within each prompt: the first pairs of all prompts at once, then the second ones, ….
    """
    used = np.zeros(candidates, dtype=bool)
    reused = np.zeros(len(pairs.prompt), dtype=bool)
    number = occurrence_numbers(pairs.prompt)
    order = np.argsort(number, kind="stable")
    for rows in np.split(order, np.cumsum(np.bincount(number))[:-1]) if len(order) else ():
        chosen, rejected = pairs.chosen[rows], pairs.rejected[rows]
        reused[rows] = used[chosen] | used[rejected]
        free = ~reused[rows]
        used[chosen[free]] = used[rejected[free]] = True
    return reused
