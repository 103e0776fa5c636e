"""Scene graphs in words: intended facts, and observed objects with their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from invdpo.curate.scene_graphs.matching import Fact, facts
from invdpo.schemas import DataError, SceneGraph
from invdpo.schemas.graph import Box

KINDS = ("object", "attribute", "relation", "count", "total")


class FactText(NamedTuple):
    """One intended fact in plain words."""

    kind: str
    text: str


class ObservedObject(NamedTuple):
    """One observed object."""

    number: int
    """As on the image."""
    phrase: str
    box: Box | None
    asked: bool
    """Whether it is the counterpart of an intended object."""


def parse_valid_graph(text: str | None) -> SceneGraph | None:
    """The graph in JSON text; None if there is none, or one that can't be shown."""
    if text is None:
        return None
    try:
        graph = SceneGraph.from_json(text)
    except DataError:
        return None
    return None if graph.problems() else graph


def fact_texts(intended: SceneGraph) -> list[FactText]:
    """Every intended fact, in the order of `facts_hold`."""
    return [
        FactText(fact.kind, _text(intended, fact)) for fact in _sorted_facts(intended, SceneGraph())
    ]


def facts_hold(intended: SceneGraph, observed: SceneGraph) -> list[bool]:
    """Whether each of the `fact_texts` holds in the observed graph."""
    return [fact.holds for fact in _sorted_facts(intended, observed)]


def observed_objects(intended: SceneGraph | None, observed: SceneGraph) -> list[ObservedObject]:
    """The observed objects, in the annotator's order, numbered from 1."""
    used = set(facts(intended, observed)[1].values()) if intended else set()
    return [
        ObservedObject(number, item.phrase, item.box, intended is None or item.item_id in used)
        for number, item in enumerate(observed.items, start=1)
    ]


def _sorted_facts(intended: SceneGraph, observed: SceneGraph) -> list[Fact]:
    """The facts of each object together, then relations, then counts."""
    judged, _ = facts(intended, observed)
    position = {item.item_id: n for n, item in enumerate(intended.items)}
    return sorted(judged, key=lambda fact: _order(fact, position))


def _order(fact: Fact, position: dict[int, int]) -> tuple[int, int, int]:
    kind = KINDS.index(fact.kind)
    of_one = kind < 2
    return (0, position[fact.items[0]], kind) if of_one else (1, kind, 0)


def _text(intended: SceneGraph, fact: Fact) -> str:
    return " ".join(_parts(intended, fact))


def _parts(intended: SceneGraph, fact: Fact) -> Iterator[str]:
    """By kind: `circle`; `circle is red`; `red circle above blue square`; `2 × circle`."""
    if fact.kind == "total":
        count = len(intended.items)
        yield f"{count} object{'' if count == 1 else 's'} in all"
    elif fact.kind == "count":
        yield f"{sum(item.label == fact.detail for item in intended.items)} × {fact.detail}"
    elif fact.kind == "relation":
        first, second = (intended.item(item).phrase for item in fact.items)
        yield from (first, fact.detail, second)
    else:
        item = intended.item(fact.items[0])
        earliest = next(i for i in intended.items if i.label == item.label)
        yield item.label if item is earliest else f"another {item.label}"
        if fact.kind == "attribute":
            yield from ("is", fact.detail)
