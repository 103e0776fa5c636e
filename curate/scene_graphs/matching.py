"""The facts that an intended scene graph states, and which of them hold in an observed one.

A fact is one object, one attribute of an object, one relation, the number of objects with one
label, or the number of all objects. Attributes and relations that the annotator reports as
unknown to it are not judged. Strings match exactly, as in LAION-SG, but for relations that say the
same: phrases of one predicate, and what holds seen from the other end (A left of B, B right of A).
Each intended object is assigned to at most one observed object with its label, so that the most
facts hold.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import chain, combinations, permutations, product
from typing import Literal, NamedTuple

from invdpo.curate.scene_graphs.vocabulary import read_vocabulary
from invdpo.schemas import SceneGraph
from invdpo.schemas.graph import CONVERSE
from invdpo.schemas.ids import fold

Kind = Literal["object", "attribute", "relation", "count", "total"]
Assignment = dict[int, int]
"""Intended item id -> observed item id; intended items without a counterpart are absent."""

OTHER_END = CONVERSE | {converse: name for name, converse in CONVERSE.items()}
"""Predicate -> the one that says the same with both ends exchanged."""
MAX_TRIED = 5000
"""Assignments that are tried one by one; if there are more, a local search decides."""
MAX_LOOKUPS = 1_000_000
"""Facts that are looked up at most to find the assignment; that takes a second or two."""


class Fact(NamedTuple):
    """One fact, and whether it holds."""

    kind: Kind
    holds: bool
    items: tuple[int, ...] = ()
    """Ids of the intended items that it is about."""
    detail: str = ""
    """Attribute, predicate or label."""


class _Scene(NamedTuple):
    """The intended facts that depend on the assignment, and the observed facts by item."""

    attributes: list[tuple[int, str]]
    relations: list[tuple[int, str, int]]
    observed_attributes: set[tuple[int | None, str]]
    observed_relations: set[tuple[int | None, str, int | None]]
    """In the words of the intended graph."""


def facts(intended: SceneGraph, observed: SceneGraph) -> tuple[list[Fact], Assignment]:
    """Every intended fact, and the assignment by which it was judged.

    An intended object is there if it has a counterpart; an observed object without one makes the
    counts wrong. So an image is exactly right if every fact holds.
    """
    scene = _scene(intended, observed)
    chosen = _assign(intended, observed, scene)
    asked = Counter(item.label for item in intended.items)
    seen = Counter(item.label for item in observed.items)
    judged = chain(
        (Fact("object", i.item_id in chosen, (i.item_id,)) for i in intended.items),
        (
            Fact("attribute", _has_attribute(scene, chosen, i, a), (i,), a)
            for i, a in scene.attributes
        ),
        (
            Fact("relation", _has_relation(scene, chosen, *r), (r[0], r[2]), r[1])
            for r in scene.relations
        ),
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
        set(_restated(observed, {link[1] for link in links})),
    )


def _restated(observed: SceneGraph, names: Iterable[str]) -> Iterator[tuple[int, str, int]]:
    """The observed relations by those of these names that say the same, from either end."""
    asked = defaultdict(list)
    for name in names:
        asked[_predicate(name)].append(name)
    for relation in observed.relations:
        predicate = _predicate(relation.relation)
        for name in asked.get(predicate, ()):
            yield relation.item1, name, relation.item2
        for name in asked.get(OTHER_END.get(predicate, ""), ()):
            yield relation.item2, name, relation.item1


def _predicate(name: str) -> str:
    """What a phrase of our vocabulary stands for; another name stands for itself."""
    return _predicates().get(fold(name), name)


@cache
def _predicates() -> Mapping[str, str]:
    relations = read_vocabulary().relations
    return {text: name for name, texts in relations.items() for text in (name, *texts)}


def _has_attribute(scene: _Scene, chosen: Mapping[int, int], item: int, attribute: str) -> bool:
    return (chosen.get(item), attribute) in scene.observed_attributes


def _has_relation(
    scene: _Scene, chosen: Mapping[int, int], first: int, name: str, second: int
) -> bool:
    return (chosen.get(first), name, chosen.get(second)) in scene.observed_relations


def _gain(scene: _Scene, chosen: Mapping[int, int]) -> tuple[int, int]:
    """The number of facts that hold, then of attributes, which decides between equals."""
    attributes = sum(_has_attribute(scene, chosen, *fact) for fact in scene.attributes)
    return attributes + sum(
        _has_relation(scene, chosen, *fact) for fact in scene.relations
    ), attributes


def _assign(intended: SceneGraph, observed: SceneGraph, scene: _Scene) -> Assignment:
    """The assignment with the greatest gain, the first of equals."""
    groups = list(_groups(intended, observed))
    tries = math.prod(math.perm(max(len(a), len(b)), min(len(a), len(b))) for a, b in groups)
    if tries == 1:
        return dict(chain.from_iterable(zip(a, b, strict=True) for a, b in groups))
    if tries > MAX_TRIED or tries * (len(scene.attributes) + len(scene.relations)) > MAX_LOOKUPS:
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
    """All ways to assign as many of `a` as possible to different items of `b`."""
    if len(a) <= len(b):
        return [dict(zip(a, chosen, strict=True)) for chosen in permutations(b, len(a))]
    return [dict(zip(chosen, b, strict=True)) for chosen in permutations(a, len(b))]


def _join(parts: Iterable[Assignment]) -> Assignment:
    return {key: value for part in parts for key, value in part.items()}


def _search(groups: list[tuple[list[int], list[int]]], scene: _Scene) -> Assignment:
    """The best by attributes alone (Hungarian method), then exchanges as long as they gain.

    Only facts about the exchanged items are looked up, at most `MAX_LOOKUPS` of them in all.
    """
    chosen = _join(_by_attributes(a, b, scene) for a, b in groups)
    by_item = _facts_by_item(scene)
    left, improved = MAX_LOOKUPS, True
    while improved and left > 0:
        improved = False
        for items, option in chain.from_iterable(_exchanges(a, b, chosen) for a, b in groups):
            affected = _facts_about(scene, by_item, items)
            left -= len(affected.attributes) + len(affected.relations) + 1
            if _gain(affected, option) > _gain(affected, chosen):
                chosen, improved = option, True
                break
            if left <= 0:
                break
    return chosen


def _facts_by_item(scene: _Scene) -> Mapping[int, _Scene]:
    """Intended item id -> the facts about it."""
    scenes: dict[int, _Scene] = defaultdict(
        lambda: _Scene([], [], scene.observed_attributes, scene.observed_relations)
    )
    for attribute in scene.attributes:
        scenes[attribute[0]].attributes.append(attribute)
    for relation in scene.relations:
        for item in {relation[0], relation[2]}:
            scenes[item].relations.append(relation)
    return scenes


def _facts_about(scene: _Scene, by_item: Mapping[int, _Scene], items: Iterable[int]) -> _Scene:
    """The facts about any of these items, each once."""
    parts = [by_item[item] for item in items]
    attributes = list(chain.from_iterable(part.attributes for part in parts))
    relations = list(dict.fromkeys(chain.from_iterable(part.relations for part in parts)))
    return _Scene(attributes, relations, scene.observed_attributes, scene.observed_relations)


def _by_attributes(a: list[int], b: list[int], scene: _Scene) -> Assignment:
    from scipy.optimize import linear_sum_assignment

    wanted = defaultdict(list)
    for item, name in scene.attributes:
        wanted[item].append(name)
    gain = [
        [sum((j, name) in scene.observed_attributes for name in wanted[i]) for j in b] for i in a
    ]
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return {a[i]: b[j] for i, j in zip(rows, columns, strict=True)}


def _exchanges(
    a: list[int], b: list[int], chosen: Assignment
) -> Iterator[tuple[tuple[int, ...], Assignment]]:
    """The items of `a` that swap partners, or one that takes a free item of `b`; the new result."""
    for first, second in combinations(a, 2):
        swapped = {**chosen}
        swapped.pop(first, None)
        swapped.pop(second, None)
        if second in chosen:
            swapped[first] = chosen[second]
        if first in chosen:
            swapped[second] = chosen[first]
        yield (first, second), swapped
    taken = set(chosen.values())
    for first, free in product(a, (j for j in b if j not in taken)):
        yield (first,), {**chosen, first: free}
