"""The exact size and the stated shares: which of the pairs there are make up the set."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from invdpo.curate.pairing.pool import Ints, sorted_rows
from invdpo.curate.pairing.reasons import Bools
from invdpo.curate.pairing.shares import Cell, Shares, allot, lacking, largest
from invdpo.schemas.config.pair import PairConfig

BEYOND = "more pairs than target_pairs"
SHARES = "more pairs than the shares allow"

Strata = Mapping[str, str]
"""Kind -> name, of one prompt."""


class Filled(NamedTuple):
    """What a target and shares make of m pairs."""

    kept: Bools
    reason: str
    """Of pairs left out."""
    lacking: dict[str, tuple[int, int]]
    """Strata that can't be filled -> (pairs wanted, pairs there)."""
    possible: int
    """Pairs that could be had in these shares."""
    met: bool


def fill(
    ids: NDArray[np.object_], pinned: Bools, strata: Sequence[Strata], config: PairConfig
) -> Filled:
    """Keep exactly what is asked for: of each cell the pairs whose ids come first.

    Those that people kept come before all others. Ids are hashes, so this is a random subset that
    does not change the mix of margins, the same on any machine, and without shares a larger target
    keeps all pairs of a smaller one. When it can't be met all pairs stay.
    """
    size = len(ids)
    if not config.shares and config.wanted is None:
        return Filled(np.ones(size, dtype=bool), BEYOND, {}, size, True)
    order = _by_id(ids, pinned)
    if not config.shares:
        wanted = config.wanted or 0
        return Filled(_first(order, size, wanted), BEYOND, {}, size, size >= wanted)
    shares = Shares(config.shares)
    cells = [shares.cell(one) for one in strata]
    there = Counter(cells)
    possible = largest(there, shares)
    wanted = possible if config.wanted is None else config.wanted
    asked = shares.wanted(wanted)
    counts = allot(there, asked) if wanted else None
    if counts is None:
        short = lacking(there, asked) if wanted else lacking(there, shares.wanted(size or 1))
        return Filled(np.ones(size, dtype=bool), SHARES, short, possible, False)
    kept = np.zeros(size, dtype=bool)
    for cell, rows in _by_cell(cells, order).items():
        kept[rows[: counts.get(cell, 0)]] = True
    return Filled(kept, SHARES, {}, max(possible, wanted), True)


def _by_id(ids: NDArray[np.object_], pinned: Bools) -> Ints:
    """Rows of pinned pairs and then of the others, each in the order of their ids, m."""
    order = sorted_rows(pa.chunked_array([pa.array(ids, pa.string())]))
    return order[np.argsort(~pinned[order], kind="stable")]


def _first(order: Ints, size: int, wanted: int) -> Bools:
    kept = np.zeros(size, dtype=bool)
    kept[order[:wanted]] = True
    return kept


def _by_cell(cells: Sequence[Cell], order: Ints) -> dict[Cell, list[int]]:
    rows: dict[Cell, list[int]] = defaultdict(list)
    for row in order.tolist():
        rows[cells[row]].append(row)
    return rows
