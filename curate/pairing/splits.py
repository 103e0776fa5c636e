"""Which prompts are held out for validation, so that nothing of them is trained on.

A combination is a stated fact: phrase, relation, phrase, whichever way round it is told. By graph,
prompts that share a split group or a combination hang together, directly or through others; such a
cluster is held out whole or not at all. By fact, each combination belongs to one split, and prompts
that state some of both are left out. All depends on the table of prompts and the seed alone, so a
pair that is cut by other thresholds stays in its split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from invdpo.curate.pairing.pool import Floats, Ints
from invdpo.curate.pairing.reasons import Bools
from invdpo.schemas.graph import one_way
from invdpo.schemas.ids import derived_seed

Combination = tuple[str, str, str]


class Split(NamedTuple):
    """Which prompts are held out, and how well that worked."""

    held: Bools
    """Prompts of validation, p."""
    clusters: Ints
    """A number for what hangs together, p."""
    straddling: Bools
    """Prompts that belong to neither split, p."""

    def largest(self) -> float:
        """Share of the prompts in the largest cluster."""
        return float(np.bincount(self.clusters).max() / len(self.clusters)) if len(self.held) else 0


def combinations(graph: Mapping[str, Any] | None) -> set[Combination]:
    """The facts that a graph states; none for one without relations or with broken ones."""
    if not graph or not graph.get("relations"):
        return set()
    try:
        phrase = {item["item_id"]: _phrase(item) for item in graph["items"]}
        stated = {
            (phrase[r["item1"]], str(r["relation"]), phrase[r["item2"]]) for r in graph["relations"]
        }
    except (KeyError, TypeError):
        return set()
    return {one_way(fact) for fact in stated}


def _phrase(item: Mapping[str, Any]) -> str:
    return " ".join((*sorted(map(str, item.get("attributes") or ())), str(item["label"])))


def by_prompt(groups: Sequence[str], fraction: float, seed: int) -> Split:
    """Each group by a hash of itself and the seed alone."""
    names, index = np.unique(np.array(groups, dtype=object), return_inverse=True)
    held = [derived_seed("split", seed, str(name)) < fraction * 2**63 for name in names]
    return _whole(np.array(held, dtype=bool)[index], index)


def by_graph(
    groups: Sequence[str], stated: Sequence[set[Combination]], fraction: float, seed: int
) -> Split:
    """Whole clusters, in an order drawn from the seed, as long as they fit `fraction` of p."""
    clusters = _clusters(groups, stated)
    size = np.bincount(clusters)
    first: NDArray[np.object_] = np.full(len(size), "\U0010ffff", dtype=object)
    np.minimum.at(first, clusters, np.array(groups, dtype=object))
    order = np.argsort([derived_seed("split", seed, name) for name in first])
    left, held = round(fraction * len(groups)), np.zeros(len(size), dtype=bool)
    for cluster in order:
        if size[cluster] <= left:
            held[cluster], left = True, left - size[cluster]
    return _whole(held[clusters], clusters)


def by_fact(
    groups: Sequence[str], stated: Sequence[set[Combination]], fraction: float, seed: int
) -> Split:
    """Each combination, or a split group that states none, by its hash.

    As many are held out as bring the held-out prompts closest to `fraction` of those not left out.
    """
    place = cache(lambda key: derived_seed("fact", seed, key) / 2**63)
    names, index = np.unique(np.array(groups, dtype=object), return_inverse=True)
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for row, (group, some) in enumerate(zip(groups, stated, strict=True)):
        found = [place(key) for key in some or (group,)]
        low[index[row]] = min(low[index[row]], *found)
        high[index[row]] = max(high[index[row]], *found)
    low, high = low[index], high[index]
    line = _line(low, high, fraction)
    held, train = high < line, low >= line
    return Split(held, _clusters(groups, stated), ~held & ~train)


def _line(low: Floats, high: Floats, fraction: float) -> float:
    """The place below which combinations are held out, so that the share comes closest."""
    lines = np.concatenate([[0.0], np.nextafter(np.unique(high), 2)])
    held = np.searchsorted(np.sort(high), lines, side="left")
    train = len(low) - np.searchsorted(np.sort(low), lines, side="left")
    share = held / np.maximum(held + train, 1)
    return float(lines[np.argmin(np.abs(share - fraction))])


def _whole(held: Bools, clusters: Ints) -> Split:
    return Split(held, np.asarray(clusters, dtype=np.int64), np.zeros(len(held), dtype=bool))


def _clusters(groups: Sequence[str], stated: Sequence[set[Combination]]) -> Ints:
    """Connected components of prompts and the keys that they share, p; numbered from 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    keys: dict[Any, int] = {}
    ends = [
        (row, keys.setdefault(key, len(keys)))
        for row, (group, some) in enumerate(zip(groups, stated, strict=True))
        for key in (group, *some)
    ]
    if not ends:
        return np.zeros(0, dtype=np.int64)
    prompts, shared = np.array(ends, dtype=np.int64).T
    total = len(groups) + len(keys)
    links = coo_array(
        (np.ones(len(ends), np.int8), (prompts, shared + len(groups))), (total, total)
    )
    labels = connected_components(links, directed=False)[1][: len(groups)]
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)
