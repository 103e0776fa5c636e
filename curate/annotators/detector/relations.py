"""Relations between detected objects, by their boxes, in the words of the prompt's own graph.

The rule is that of T2I-CompBench (arXiv 2307.06350). One object is left of another if its centre
is, the centres are further apart horizontally than vertically, and the boxes overlap by less than
`MAX_OVERLAP` (intersection over union); above and below likewise. Objects are near each other if
their centres are less than `NEAR` apart in either direction. Where the released evaluation gives
half marks, the relation counts as absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

from invdpo.curate.annotators.detector.boxes import Detection
from invdpo.schemas import SceneGraph
from invdpo.schemas.graph import Box
from invdpo.schemas.ids import fold

MAX_OVERLAP = 0.1
NEAR = 150 / 479
"""Of the longer side: 150 pixels of the 479 to which the released evaluation scales images."""

Size = tuple[int, int]
"""Width and height in pixels."""
Rule = Callable[[Box, Box, Size], str | None]
"""From two boxes to the predicate that holds between them, if any."""


class RelationDetector:
    """Finds the relations that a graph mentions; made from the `relations` of a vocabulary."""

    def __init__(self, phrases: Mapping[str, Sequence[str]]) -> None:
        self._predicates = {
            phrase: name for name, texts in phrases.items() for phrase in (name, *texts)
        }

    def unknown(self, graph: SceneGraph) -> list[str]:
        """The relations of a graph that boxes can't decide."""
        names = dict.fromkeys(relation.relation for relation in graph.relations)
        return [name for name in names if self._predicate(name) is None]

    def relations(
        self, graph: SceneGraph, detections: Sequence[Detection], size: Size
    ) -> Iterator[dict[str, Any]]:
        """The relations that hold between objects whose labels the graph relates, each once.

        A relation of the graph is stated in the graph's words; if another one of its kind holds
        instead, that one is stated.
        """
        label = {item.item_id: item.label for item in graph.items}
        stated: set[tuple[int, str, int]] = set()
        for wanted in graph.relations:
            predicate = self._predicate(wanted.relation)
            labels = label[wanted.item1], label[wanted.item2]
            for first, second in permutations(range(len(detections)), 2):
                a, b = detections[first], detections[second]
                if predicate is None or (a.label, b.label) != labels:
                    continue
                holds = RULES[predicate](a.box, b.box, size)
                name = wanted.relation if holds == predicate else holds
                if name and (first, name, second) not in stated:
                    stated.add((first, name, second))
                    yield {"item1": first, "relation": name, "item2": second}

    def _predicate(self, phrase: str) -> str | None:
        """One of `RULES`; None for a relation without a rule."""
        name = self._predicates.get(fold(phrase))
        return name if name in RULES else None


def overlap(first: Box, second: Box) -> float:
    """Intersection over union, 0..1; 0 for boxes without area."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, width) * max(0.0, height)
    union = _area(first) + _area(second) - shared
    return shared / union if union > 0 else 0.0


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _offset(first: Box, second: Box, size: Size) -> tuple[float, float]:
    """From the first centre to the second, right and down, in units of the longer side."""
    longest = max(size)
    right = (second[0] + second[2] - first[0] - first[2]) / 2
    down = (second[1] + second[3] - first[1] - first[3]) / 2
    return right * size[0] / longest, down * size[1] / longest


def direction(first: Box, second: Box, size: Size) -> str | None:
    """Where the first object is, seen from the second; None if the rule doesn't decide."""
    right, down = _offset(first, second, size)
    if abs(right) == abs(down) or overlap(first, second) >= MAX_OVERLAP:
        return None
    if abs(right) > abs(down):
        return "left of" if right > 0 else "right of"
    return "above" if down > 0 else "below"


def near(first: Box, second: Box, size: Size) -> bool:
    """Whether two objects are next to each other."""
    return any(abs(distance) < NEAR for distance in _offset(first, second, size))


def _nearness(name: str) -> Rule:
    return lambda first, second, size: name if near(first, second, size) else None


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("left of", "right of", "above", "below"), direction),
    "next to": _nearness("next to"),
    "near": _nearness("near"),
}
"""Predicate -> the rule that decides which predicate of its kind holds; no others have a rule."""
