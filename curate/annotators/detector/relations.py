"""The relations between what was seen, in the words of the prompt's own graph.

MERGED: Relations that two boxes decide, by the rule of T2I-CompBench (arXiv 2307.06350).

One thing is left of another when its centre is, the centres lie further apart across than along,
and the boxes overlap by less than `MOST_OVERLAP` (intersection over union); above and below
likewise. Things are near each other when their centres are less than `NEAR` apart across or along.
That is the released evaluation's rule where it gives full marks; half marks count as no.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

from invdpo.curate.annotators.detector.boxes import Detection
from invdpo.schemas import SceneGraph
from invdpo.schemas.graph import Box


class Predicates:
    """Which phrase means which predicate; made of a vocabulary's `relations`."""

    def __init__(self, phrases: Mapping[str, Sequence[str]]) -> None:
        self._named = {text: name for name, texts in phrases.items() for text in (name, *texts)}

    def unknown(self, graph: SceneGraph) -> list[str]:
        """The relations of a graph that boxes can't tell."""
        names = dict.fromkeys(relation.relation for relation in graph.relations)
        return [name for name in names if self._predicate(name) is None]

    def relations(
        self, graph: SceneGraph, seen: Sequence[Detection], size: Size
    ) -> Iterator[dict[str, Any]]:
        """What holds between things whose names the graph relates, each said once.

        A relation that the graph asks for is told in its words; where another one of its kind
        holds instead, that one is told.
        """
        label = {item.item_id: item.label for item in graph.items}
        told: set[tuple[int, str, int]] = set()
        for asked in graph.relations:
            predicate = self._predicate(asked.relation)
            ends = label[asked.item1], label[asked.item2]
            for one, other in permutations(range(len(seen)), 2):
                if predicate is None or (seen[one].label, seen[other].label) != ends:
                    continue
                holds = RULES[predicate](seen[one].box, seen[other].box, size)
                fact = one, asked.relation if holds == predicate else holds or "", other
                if fact[1] and fact not in told:
                    told.add(fact)
                    yield {"item1": fact[0], "relation": fact[1], "item2": fact[2]}

    def _predicate(self, name: str) -> str | None:
        """One of `RULES`, or None for a relation that they don't know."""
        found = self._named.get(" ".join(name.casefold().split()))
        return found if found in RULES else None


MOST_OVERLAP = 0.1

NEAR = 150 / 479
"""Of the longer side: 150 pixels of the 479 to which the released evaluation scales pictures."""

Size = tuple[int, int]
"""Width and height in pixels."""


def overlap(one: Box, other: Box) -> float:
    """Intersection over union, 0..1; 0 for boxes without area."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    along = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0.0, across) * max(0.0, along)
    union = _area(one) + _area(other) - shared
    return shared / union if union > 0 else 0.0


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _offset(one: Box, other: Box, size: Size) -> tuple[float, float]:
    """From the first centre to the second, right and down, in units of the longer side."""
    longest = max(size)
    across = (other[0] + other[2] - one[0] - one[2]) / 2
    along = (other[1] + other[3] - one[1] - one[3]) / 2
    return across * size[0] / longest, along * size[1] / longest


def direction(one: Box, other: Box, size: Size) -> str | None:
    """Where the first thing is, seen from the second; None where the rule can't tell."""
    across, along = _offset(one, other, size)
    if abs(across) == abs(along) or overlap(one, other) >= MOST_OVERLAP:
        return None
    if abs(across) > abs(along):
        return "left of" if across > 0 else "right of"
    return "above" if along > 0 else "below"


def near(one: Box, other: Box, size: Size) -> bool:
    """Whether two things are next to each other."""
    return any(abs(distance) < NEAR for distance in _offset(one, other, size))


Rule = Callable[[Box, Box, Size], str | None]


def _nearness(name: str) -> Rule:
    return lambda one, other, size: name if near(one, other, size) else None


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("left of", "right of", "above", "below"), direction),
    "next to": _nearness("next to"),
    "near": _nearness("near"),
}
"""Predicate -> what tells which predicate of its kind holds; boxes can't tell any other."""
