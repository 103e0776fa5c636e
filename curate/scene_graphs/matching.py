"""The facts an intended scene graph states, and which of them an observed one satisfies.

A fact is one object, one attribute of an object, one relation, the number of objects with one
label, or the number of objects altogether. Attributes and relations that the annotator says it
can't tell are no facts to judge. Strings match exactly, as in LAION-SG. Each intended object is
assigned to at most one observed object with its label, so that the most facts hold.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, combinations, permutations, product
from typing import Literal, NamedTuple

from invdpo.schemas import SceneGraph

Kind = Literal["object", "attribute", "relation", "count", "total"]
Assignment = dict[int, int]
"""Intended item id to observed item id; an intended item without counterpart is absent."""

LIMIT = 5000
"""How many assignments are tried one by one; beyond it a local search decides."""
EFFORT = 1_000_000
"""How many facts are looked up at most to find the assignment; a second or two."""


class Fact(NamedTuple):
    """One fact, and whether it holds."""

    kind: Kind
    holds: bool
    items: tuple[int, ...] = ()
    """The intended items it speaks of."""
    detail: str = ""
    """Attribute, predicate or label."""


class _Scene(NamedTuple):
    """The intended facts that depend on the assignment, and the observed ones to look up."""

    attributes: list[tuple[int, str]]
    relations: list[tuple[int, str, int]]
    bound: set[tuple[int | None, str]]
    linked: set[tuple[int | None, str, int | None]]


def facts(intended: SceneGraph, observed: SceneGraph) -> tuple[list[Fact], Assignment]:
    """Every intended fact, and the assignment by which it was judged.

    An intended object counts as there when it has a counterpart; an object observed but not asked
    for makes the counts wrong. So a picture is exactly right when every fact holds.
    """
    scene = _scene(intended, observed)
    chosen = _assign(intended, observed, scene)
    asked = Counter(item.label for item in intended.items)
    seen = Counter(item.label for item in observed.items)
    judged = chain(
        (Fact("object", i.item_id in chosen, (i.item_id,)) for i in intended.items),
        (Fact("attribute", _bound(scene, chosen, i, a), (i,), a) for i, a in scene.attributes),
        (Fact("relation", _linked(scene, chosen, *r), (r[0], r[2]), r[1]) for r in scene.relations),
        (Fact("count", seen[label] == n, (), label) for label, n in asked.items()),
        (Fact("total", seen.total() == asked.total()),),
    )
    return list(judged), chosen


def _scene(intended: SceneGraph, observed: SceneGraph) -> _Scene:
    words, names = observed.unknown("attributes"), observed.unknown("relations")
    links = dict.fromkeys((r.item1, r.relation, r.item2) for r in intended.relations)
    return _Scene(
        [
            (i.item_id, word)
            for i in intended.items
            for word in dict.fromkeys(i.attributes)
            if word not in words
        ],
        [link for link in links if link[1] not in names],
        {(item.item_id, name) for item in observed.items for name in item.attributes},
        {(r.item1, r.relation, r.item2) for r in observed.relations},
    )


def _bound(scene: _Scene, chosen: Mapping[int, int], item: int, attribute: str) -> bool:
    return (chosen.get(item), attribute) in scene.bound


def _linked(scene: _Scene, chosen: Mapping[int, int], first: int, name: str, second: int) -> bool:
    return (chosen.get(first), name, chosen.get(second)) in scene.linked


def _gain(scene: _Scene, chosen: Mapping[int, int]) -> tuple[int, int]:
    """Facts that hold, and among them attributes, which decide between equally good ones."""
    attributes = sum(_bound(scene, chosen, *fact) for fact in scene.attributes)
    return attributes + sum(_linked(scene, chosen, *fact) for fact in scene.relations), attributes


def _assign(intended: SceneGraph, observed: SceneGraph, scene: _Scene) -> Assignment:
    """The assignment with the greatest gain, the first one of equals."""
    groups = list(_groups(intended, observed))
    tries = math.prod(math.perm(max(len(a), len(b)), min(len(a), len(b))) for a, b in groups)
    if tries == 1:
        return dict(chain.from_iterable(zip(a, b, strict=True) for a, b in groups))
    if tries > LIMIT or tries * (len(scene.attributes) + len(scene.relations)) > EFFORT:
        return _search(groups, scene)
    options = (_join(choice) for choice in product(*(_matchings(a, b) for a, b in groups)))
    return max(options, key=lambda chosen: _gain(scene, chosen))


def _groups(intended: SceneGraph, observed: SceneGraph) -> Iterator[tuple[list[int], list[int]]]:
    """Intended and observed item ids of every label that occurs in both."""
    groups = defaultdict(list)
    for item in observed.items:
        groups[item.label].append(item.item_id)
    for label in dict.fromkeys(item.label for item in intended.items):
        if label in groups:
            yield [i.item_id for i in intended.items if i.label == label], groups[label]


def _matchings(a: list[int], b: list[int]) -> list[Assignment]:
    """Every way to give as many of `a` as possible a partner of their own in `b`."""
    if len(a) <= len(b):
        return [dict(zip(a, chosen, strict=True)) for chosen in permutations(b, len(a))]
    return [dict(zip(chosen, b, strict=True)) for chosen in permutations(a, len(b))]


def _join(parts: Iterable[Assignment]) -> Assignment:
    return {key: value for part in parts for key, value in part.items()}


def _search(groups: list[tuple[list[int], list[int]]], scene: _Scene) -> Assignment:
    """Best by attributes alone (Hungarian method), then exchanges while they gain anything.

    Of an exchange only the facts about the items in it are looked up, and no more than `EFFORT`.
    """
    chosen = _join(_by_attributes(a, b, scene) for a, b in groups)
    about = _about(scene)
    left, improved = EFFORT, True
    while improved and left > 0:
        improved = False
        for items, option in chain.from_iterable(_exchanges(a, b, chosen) for a, b in groups):
            touched = _touched(scene, about, items)
            left -= len(touched.attributes) + len(touched.relations) + 1
            if _gain(touched, option) > _gain(touched, chosen):
                chosen, improved = option, True
                break
            if left <= 0:
                break
    return chosen


def _about(scene: _Scene) -> Mapping[int, _Scene]:
    """The facts about every intended item."""
    scenes: dict[int, _Scene] = defaultdict(lambda: _Scene([], [], scene.bound, scene.linked))
    for attribute in scene.attributes:
        scenes[attribute[0]].attributes.append(attribute)
    for relation in scene.relations:
        for item in {relation[0], relation[2]}:
            scenes[item].relations.append(relation)
    return scenes


def _touched(scene: _Scene, about: Mapping[int, _Scene], items: Iterable[int]) -> _Scene:
    """The facts about any of these items, each once."""
    parts = [about[item] for item in items]
    attributes = list(chain.from_iterable(part.attributes for part in parts))
    relations = list(dict.fromkeys(chain.from_iterable(part.relations for part in parts)))
    return _Scene(attributes, relations, scene.bound, scene.linked)


def _by_attributes(a: list[int], b: list[int], scene: _Scene) -> Assignment:
    from scipy.optimize import linear_sum_assignment

    wanted = defaultdict(list)
    for item, name in scene.attributes:
        wanted[item].append(name)
    gain = [[sum((j, name) in scene.bound for name in wanted[i]) for j in b] for i in a]
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return {a[i]: b[j] for i, j in zip(rows, columns, strict=True)}


def _exchanges(
    a: list[int], b: list[int], chosen: Assignment
) -> Iterator[tuple[tuple[int, ...], Assignment]]:
    """Two of `a` trade partners, or one takes a free partner of `b`: who, and what comes of it."""
    for first, second in combinations(a, 2):
        traded = {**chosen}
        traded.pop(first, None)
        traded.pop(second, None)
        if second in chosen:
            traded[first] = chosen[second]
        if first in chosen:
            traded[second] = chosen[first]
        yield (first, second), traded
    taken = set(chosen.values())
    for first, free in product(a, (j for j in b if j not in taken)):
        yield (first,), {**chosen, first: free}
