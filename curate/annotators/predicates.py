"""The relations between what was seen, in the words of the prompt's own graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any

from invdpo.curate.annotators.geometry import RULES, Size
from invdpo.curate.annotators.sighting import Sighting
from invdpo.schemas import SceneGraph


class Predicates:
    """Which phrase means which predicate; made of a vocabulary's `relations`."""

    def __init__(self, phrases: Mapping[str, Sequence[str]]) -> None:
        self._named = {text: name for name, texts in phrases.items() for text in (name, *texts)}

    def unknown(self, graph: SceneGraph) -> list[str]:
        """The relations of a graph that boxes can't tell."""
        names = dict.fromkeys(relation.relation for relation in graph.relations)
        return [name for name in names if self._predicate(name) is None]

    def relations(
        self, graph: SceneGraph, seen: Sequence[Sighting], size: Size
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
