"""Which pairs the page shows: the worst cases, and some of every stratum.

Ids of pairs are content hashes, so the first by id are a random sample that is the same anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from invdpo.curate.report.findings import Worst

WORST = 4
"""Pairs of each kind of worst case."""
EACH = (2, 6)
"""Pairs of each stratum: at least and at most."""
ENOUGH = 24
"""Pairs of all strata together, as far as the bounds of each allow."""
MOST = 60
"""Pairs on the page altogether."""

TITLES = {
    "least_margin": "Least margin",
    "most_conflict": "Most conflict between scorers",
    "held_out_disagrees": "Held-out scorer disagrees",
}


class Group(NamedTuple):
    """Pairs under one heading."""

    title: str
    pairs: tuple[str, ...]
    also: tuple[str, ...] = ()
    """Pairs that belong here and stand under an earlier heading."""


def worst_groups(worst: Worst | None, there: Iterable[str]) -> list[Group]:
    """The first pairs of every list of worst cases, each pair once."""
    known, shown = set(there), set[str]()
    groups = []
    for name, title in TITLES.items():
        named: list[str] = getattr(worst, name) if worst else []
        listed = [pair for pair in dict.fromkeys(named) if pair in known][:WORST]
        if listed:
            groups.append(_group(title, listed, shown))
    return groups


def strata_groups(
    strata: Mapping[str, Mapping[str, Sequence[str]]], shown: Iterable[str]
) -> dict[str, list[Group]]:
    """Kind -> a group a stratum; pairs that are `shown` already are the last choice.

    `strata`: kind -> name -> ids of its pairs.
    """
    taken, found = set(shown), dict[str, list[Group]]()
    each = min(EACH[1], max(EACH[0], ENOUGH // max(1, sum(map(len, strata.values())))))
    for kind, names in strata.items():
        for name, pairs in names.items():
            fresh = [pair for pair in sorted(pairs) if pair not in taken]
            room = min(each, MOST - len(taken))
            chosen = fresh[:room] if fresh else sorted(pairs)[: EACH[0]]
            found.setdefault(kind, []).append(_group(name, chosen, taken))
    return found


def by_stratum(
    graphs: Mapping[str, str | None], strata: Callable[[str | None], Mapping[str, str]]
) -> dict[str, dict[str, list[str]]]:
    """Pair id -> intended graph, to kind -> name -> pair ids; names in their own order."""
    found: dict[str, dict[str, list[str]]] = {}
    for pair, graph in graphs.items():
        for kind, name in strata(graph).items():
            found.setdefault(kind, {}).setdefault(name, []).append(pair)
    return {kind: dict(sorted(names.items())) for kind, names in found.items()}


def _group(title: str, pairs: Sequence[str], shown: set[str]) -> Group:
    """Splits pairs into new ones, which count as shown from now on, and those there already."""
    new = tuple(pair for pair in pairs if pair not in shown)
    old = tuple(pair for pair in pairs if pair in shown)
    shown.update(new)
    return Group(title, new, old)
