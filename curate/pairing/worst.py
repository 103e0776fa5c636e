"""The pairs that a person should look at first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from invdpo.curate.pairing.cutting import Cut
from invdpo.curate.pairing.pool import Floats
from invdpo.schemas.config import PairConfig

SHOWN = 20


def worst(cut: Cut, config: PairConfig, turned: Mapping[str, Floats]) -> dict[str, list[str]]:
    """Pair ids, the worst first, at most 20 each.

    `least_margin`: the smallest margins; `most_conflict`: those a ranked scorer is most against, on
    the scale of the normalisation; `held_out_disagrees`: those the held-out scorer is most against.
    `turned` are raw scores, n each, with higher as better.
    """
    pairs = cut.pairs
    each = cut.choice.ranking.each.values()
    losses = [scores[pairs.rejected] - scores[pairs.chosen] for scores in each]
    against: list[str] = []
    if config.held_out:
        scores = turned[config.held_out]
        against = _first(cut, scores[pairs.chosen] - scores[pairs.rejected], below=0)
    return {
        "least_margin": _first(cut, pairs.margin),
        "most_conflict": _first(cut, -np.max(losses, axis=0), below=0),
        "held_out_disagrees": against,
    }


def _first(cut: Cut, values: Floats, below: float = np.inf) -> list[str]:
    """Ids of the pairs with the smallest of these values (m), among those under `below`."""
    rows = np.flatnonzero(values < below)
    if len(rows) > SHOWN:
        last = np.partition(values[rows], SHOWN - 1)[SHOWN - 1]
        rows = rows[values[rows] <= last]
    order = np.lexsort((cut.ids[rows].astype(str), values[rows]))
    return [str(name) for name in cut.ids[rows[order[:SHOWN]]]]
