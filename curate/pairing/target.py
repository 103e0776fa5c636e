"""The exact size and the stated shares: which of the available pairs make up the set."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from invdpo.curate.pairing.pool import Ints, sorted_rows
from invdpo.curate.pairing.reasons import Bools
from invdpo.curate.pairing.shares import Cell, Shares, allocate, largest_size, unfilled
from invdpo.schemas.config.pair import PairConfig

BEYOND = "more pairs than target_pairs"
SHARES = "more pairs than the shares allow"


class TargetResult(NamedTuple):
    """What a target and shares make of m pairs."""

    kept: Bools
    reason: str
    """Of pairs left out."""
    unfilled: dict[str, tuple[int, int]]
    """Strata that can't be filled -> (pairs wanted, pairs available)."""
    possible: int
    """Pairs that could be had in these shares."""
    met: bool


def apply_target(
    ids: NDArray[np.object_],
    kept_by_review: Bools,
    strata: Sequence[Mapping[str, str]],
    config: PairConfig,
) -> TargetResult:
    """Keep exactly what is asked for: of each cell the pairs whose ids come first.

    `strata` of each pair's prompt are kind -> name, m, and may be empty without shares. Pairs that
    people kept come before all others. Ids are hashes, so this is a random subset that does not
    change the mix of margins, the same on any machine, and without shares a larger target keeps all
    pairs of a smaller one. When the target can't be met all pairs stay; without one, a single pair
    meets it.
    """
    size = len(ids)
    if not config.shares and config.wanted is None:
        return TargetResult(np.ones(size, dtype=bool), BEYOND, {}, size, size > 0)
    order = _order_by_id(ids, kept_by_review)
    if not config.shares:
        wanted = config.wanted or 0
        kept = np.zeros(size, dtype=bool)
        kept[order[:wanted]] = True
        return TargetResult(kept, BEYOND, {}, size, size >= wanted)
    shares = Shares(config.shares)
    cells = [shares.cell(names) for names in strata]
    available = Counter(cells)
    possible = largest_size(available, shares)
    wanted = possible if config.wanted is None else config.wanted
    by_stratum = shares.wanted(wanted)
    counts = allocate(available, by_stratum) if wanted else None
    if counts is None:
        by_stratum = by_stratum if wanted else shares.wanted(size or 1)
        missing = unfilled(available, by_stratum)
        return TargetResult(np.ones(size, dtype=bool), SHARES, missing, possible, False)
    kept = np.zeros(size, dtype=bool)
    for cell, rows in _rows_by_cell(cells, order).items():
        kept[rows[: counts.get(cell, 0)]] = True
    return TargetResult(kept, SHARES, {}, max(possible, wanted), True)


def _order_by_id(ids: NDArray[np.object_], kept_by_review: Bools) -> Ints:
    """Rows kept by review and then the others, each in the order of their ids, m."""
    order = sorted_rows(pa.chunked_array([pa.array(ids, pa.string())]))
    return order[np.argsort(~kept_by_review[order], kind="stable")]


def _rows_by_cell(cells: Sequence[Cell], order: Ints) -> dict[Cell, list[int]]:
    rows: dict[Cell, list[int]] = defaultdict(list)
    for row in order.tolist():
        rows[cells[row]].append(row)
    return rows
