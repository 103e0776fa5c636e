"""Pairs as columns: which candidates of the pool meet, and who of them is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from json.encoder import encode_basestring
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from invdpo.curate.pairing.pool import Floats, Ints, Pool
from invdpo.curate.pairing.sieve import Bools
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
            self.prompt[rows], self.chosen[rows], self.rejected[rows], self.margin[rows],
            self.pinned[rows],
        )  # fmt: skip

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


def meeting(pool: Pool, combined: Floats, chosen: Ints, rejected: Ints) -> Pairs:
    """Pairs of these candidates, m each."""
    margin = combined[chosen] - combined[rejected]
    pinned = np.zeros(len(chosen), dtype=bool)
    return Pairs(pool.prompt[chosen], chosen, rejected, margin, pinned)


def joined(blocks: Sequence[Pairs]) -> Pairs:
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
