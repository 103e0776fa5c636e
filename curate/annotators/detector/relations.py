"""Relations between detected objects, in the words of the prompt's own graph.

Two boxes decide a relation by the rule of T2I-CompBench (arXiv 2307.06350). One object is
left of another when its centre is, the centres lie further apart across than along, and the boxes
overlap by less than `MOST_OVERLAP` (intersection over union); above and below
likewise. Objects are near each other when their centres are less than `NEAR` apart across or along.
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
        stated: set[tuple[int, str, int]] = set()
        for asked in graph.relations:
            predicate = self._predicate(asked.relation)
            ends = label[asked.item1], label[asked.item2]
            for first, second in permutations(range(len(seen)), 2):
                if predicate is None or (seen[first].label, seen[second].label) != ends:
                    continue
                holds = RULES[predicate](seen[first].box, seen[second].box, size)
                fact = first, asked.relation if holds == predicate else holds or "", second
                if fact[1] and fact not in stated:
                    stated.add(fact)
                    yield {"item1": fact[0], "relation": fact[1], "item2": fact[2]}

    def _predicate(self, name: str) -> str | None:
        """One of `RULES`, or None for a relation that they don't know."""
        rule = self._named.get(" ".join(name.casefold().split()))
        return rule if rule in RULES else None


MOST_OVERLAP = 0.1

NEAR = 150 / 479
"""Of the longer side: 150 pixels of the 479 to which the released evaluation scales pictures."""

Size = tuple[int, int]
"""Width and height in pixels."""


def overlap(first: Box, second: Box) -> float:
    """Intersection over union, 0..1; 0 for boxes without area."""
    across = min(first[2], second[2]) - max(first[0], second[0])
    along = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, across) * max(0.0, along)
    union = _area(first) + _area(second) - shared
    return shared / union if union > 0 else 0.0


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _offset(first: Box, second: Box, size: Size) -> tuple[float, float]:
    """From the first centre to the second, right and down, in units of the longer side."""
    longest = max(size)
    across = (second[0] + second[2] - first[0] - first[2]) / 2
    along = (second[1] + second[3] - first[1] - first[3]) / 2
    return across * size[0] / longest, along * size[1] / longest


def direction(first: Box, second: Box, size: Size) -> str | None:
    """Where the first thing is, seen from the second; None where the rule can't tell."""
    across, along = _offset(first, second, size)
    if abs(across) == abs(along) or overlap(first, second) >= MOST_OVERLAP:
        return None
    if abs(across) > abs(along):
        return "left of" if across > 0 else "right of"
    return "above" if along > 0 else "below"


def near(first: Box, second: Box, size: Size) -> bool:
    """Whether two things are next to each other."""
    return any(abs(distance) < NEAR for distance in _offset(first, second, size))


Rule = Callable[[Box, Box, Size], str | None]


def _nearness(name: str) -> Rule:
    return lambda first, second, size: name if near(first, second, size) else None


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("left of", "right of", "above", "below"), direction),
    "next to": _nearness("next to"),
    "near": _nearness("near"),
}
"""Predicate -> what tells which predicate of its kind holds; boxes can't tell any other."""
