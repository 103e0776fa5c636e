"""Which pairs the page shows: the worst cases, and a few of every stratum.

Ids of pairs are content hashes, so the first by id are a random sample, the same on any machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from invdpo.curate.report.findings import WorstPairs

WORST = 4
"""Pairs of each kind of worst case."""
PER_STRATUM = (2, 6)
"""Pairs of each stratum, at least and at most."""
OF_STRATA = 24
"""Pairs of all strata together, as far as `PER_STRATUM` allows."""
MOST = 60
"""Pairs on the page altogether."""

TITLES = {
    "least_margin": "Least margin",
    "most_conflict": "Most conflict between scorers",
    "held_out_disagrees": "Held-out scorer disagrees",
}


class PairGroup(NamedTuple):
    """Pairs under one heading."""

    title: str
    pairs: tuple[str, ...]
    also: tuple[str, ...] = ()
    """Pairs that belong here but are shown under an earlier heading."""


def worst_groups(worst: WorstPairs | None, pair_ids: Iterable[str]) -> list[PairGroup]:
    """The first pairs of every list of worst cases, each pair once."""
    known, shown = set(pair_ids), set[str]()
    groups = []
    for name, title in TITLES.items():
        named: list[str] = getattr(worst, name) if worst else []
        listed = [pair for pair in dict.fromkeys(named) if pair in known][:WORST]
        if listed:
            groups.append(_group(title, listed, shown))
    return groups


def strata_groups(
    strata: Mapping[str, Mapping[str, Sequence[str]]], shown: Iterable[str]
) -> dict[str, list[PairGroup]]:
    """Kind -> one group for each stratum; pairs that are already `shown` are the last choice.

    `strata`: kind -> name -> ids of its pairs.
    """
    taken, groups = set(shown), dict[str, list[PairGroup]]()
    least, most = PER_STRATUM
    size = min(most, max(least, OF_STRATA // max(1, sum(map(len, strata.values())))))
    for kind, names in strata.items():
        for name, pairs in names.items():
            fresh = [pair for pair in sorted(pairs) if pair not in taken]
            room = min(size, MOST - len(taken))
            chosen = fresh[:room] if fresh else sorted(pairs)[:least]
            groups.setdefault(kind, []).append(_group(name, chosen, taken))
    return groups


def by_stratum(
    graphs: Mapping[str, str | None], strata: Callable[[str | None], Mapping[str, str]]
) -> dict[str, dict[str, list[str]]]:
    """Kind -> name -> pair ids, from `graphs`: pair id -> intended graph; names are sorted."""
    by_kind: dict[str, dict[str, list[str]]] = {}
    for pair, graph in graphs.items():
        for kind, name in strata(graph).items():
            by_kind.setdefault(kind, {}).setdefault(name, []).append(pair)
    return {kind: dict(sorted(names.items())) for kind, names in by_kind.items()}


def _group(title: str, pairs: Sequence[str], shown: set[str]) -> PairGroup:
    """Separates new pairs, which count as shown from now on, from those shown already."""
    new = tuple(pair for pair in pairs if pair not in shown)
    old = tuple(pair for pair in pairs if pair in shown)
    shown.update(new)
    return PairGroup(title, new, old)
