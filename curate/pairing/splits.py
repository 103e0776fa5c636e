"""Which prompts are held out for validation, so that nothing of them is trained on.

By graph, prompts that share a split group or a stated fact form a cluster, directly or through
others, and a cluster is held out entirely or not at all. By fact, each fact belongs to one split,
and prompts that state facts of both are left out. All depends on the table of prompts and the seed
alone, so a pair that is chosen by other thresholds stays in its split. p prompts.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from invdpo.curate.pairing.pool import Floats, Ints
from invdpo.curate.pairing.reasons import Bools
from invdpo.schemas import DataError, SceneGraph
from invdpo.schemas.graph import Fact
from invdpo.schemas.ids import derived_seed, prompt_key


class PromptSplit(NamedTuple):
    """Which prompts are held out, and how well that worked."""

    held_out: Bools
    """Prompts of validation, p."""
    clusters: Ints
    """A number for each set of prompts that must stay together, p."""
    straddling: Bools
    """Prompts that belong to neither split, p."""

    def largest(self) -> float:
        """Share of the prompts in the largest cluster."""
        clusters = self.clusters
        return float(np.bincount(clusters).max() / len(clusters)) if len(clusters) else 0.0


def stated_facts(graph: str | None) -> set[Fact]:
    """The facts of a graph in JSON; none for one that can't be read, or whose items are missing."""
    if graph is None:
        return set()
    try:
        return SceneGraph.from_json(graph).facts()
    except (DataError, KeyError):
        return set()


def groups_of_texts(groups: Sequence[str], prompts: Sequence[str | None]) -> list[str]:
    """Split groups, made one where prompts are the same text, directly or through others.

    A text may stand in the table with several graphs, so in several groups; the first name is then
    that of all. Case, blanks and Unicode forms make no difference.
    """
    texts = [{prompt_key(prompt)} if prompt else set[str]() for prompt in prompts]
    first: dict[int, str] = {}
    clusters = _clusters(groups, texts).tolist()
    for cluster, group in zip(clusters, groups, strict=True):
        first[cluster] = min(first.get(cluster, group), group)
    return [first[cluster] for cluster in clusters]


def split_by_prompt(groups: Sequence[str], fraction: float, seed: int) -> PromptSplit:
    """Each group by a hash of itself and the seed alone."""
    names, index = np.unique(np.array(groups, dtype=object), return_inverse=True)
    held_out = [derived_seed("split", seed, str(name)) < fraction * 2**63 for name in names]
    return _none_straddling(np.array(held_out, dtype=bool)[index], index)


def split_by_graph(
    groups: Sequence[str], facts: Sequence[set[Fact]], fraction: float, seed: int
) -> PromptSplit:
    """Whole clusters, in an order drawn from the seed, as long as they fit `fraction` of p."""
    clusters = _clusters(groups, facts)
    size = np.bincount(clusters)
    first: NDArray[np.object_] = np.full(len(size), "\U0010ffff", dtype=object)
    np.minimum.at(first, clusters, np.array(groups, dtype=object))
    order = np.argsort([derived_seed("split", seed, name) for name in first])
    free, held_out = round(fraction * len(groups)), np.zeros(len(size), dtype=bool)
    for cluster in order:
        if size[cluster] <= free:
            held_out[cluster], free = True, free - size[cluster]
    return _none_straddling(held_out[clusters], clusters)


def split_by_fact(
    groups: Sequence[str], facts: Sequence[set[Fact]], fraction: float, seed: int
) -> PromptSplit:
    """Each fact by its hash, and each split group without facts by its own.

    As many are held out as bring the held-out prompts closest to `fraction` of those not left out.
    """
    hash_of = cache(lambda key: derived_seed("fact", seed, key) / 2**63)
    names, index = np.unique(np.array(groups, dtype=object), return_inverse=True)
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for row, (group, stated) in enumerate(zip(groups, facts, strict=True)):
        hashes = [hash_of(key) for key in stated or (group,)]
        low[index[row]] = min(low[index[row]], *hashes)
        high[index[row]] = max(high[index[row]], *hashes)
    low, high = low[index], high[index]
    limit = _hash_limit(low, high, fraction)
    held_out, train = high < limit, low >= limit
    return PromptSplit(held_out, _clusters(groups, facts), ~held_out & ~train)


def _hash_limit(low: Floats, high: Floats, fraction: float) -> float:
    """The hash below which facts are held out, so that the share of prompts comes closest.

    `low` and `high` are the least and the greatest hash of each prompt's facts, p.
    """
    limits = np.concatenate([[0.0], np.nextafter(np.unique(high), 2)])
    held_out = np.searchsorted(np.sort(high), limits, side="left")
    train = len(low) - np.searchsorted(np.sort(low), limits, side="left")
    share = held_out / np.maximum(held_out + train, 1)
    return float(limits[np.argmin(np.abs(share - fraction))])


def _none_straddling(held_out: Bools, clusters: Ints) -> PromptSplit:
    straddling = np.zeros(len(held_out), dtype=bool)
    return PromptSplit(held_out, np.asarray(clusters, dtype=np.int64), straddling)


def _clusters(groups: Sequence[str], facts: Sequence[Collection[Hashable]]) -> Ints:
    """Connected components of prompts and the keys that they share, p; numbered from 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    keys: dict[object, int] = {}
    ends = [
        (row, keys.setdefault(key, len(keys)))
        for row, (group, stated) in enumerate(zip(groups, facts, strict=True))
        for key in (group, *stated)
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
