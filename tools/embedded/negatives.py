"""Captions that are wrong by one fact: what a CLIP of this world must tell from the right one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from invdpo.curate.shapes import world
from invdpo.schemas import Item, SceneGraph

Change = Callable[[SceneGraph, np.random.Generator], SceneGraph]


def swap_colours(graph: SceneGraph, rng: np.random.Generator) -> SceneGraph:
    """Two objects exchange their colours."""
    items = list(graph.items)
    one, other = rng.choice(len(items), size=2, replace=False)
    items[one], items[other] = (
        items[one].model_copy(update={"attributes": items[other].attributes}),
        items[other].model_copy(update={"attributes": items[one].attributes}),
    )
    return SceneGraph(items=tuple(items), relations=graph.relations)


def turn_relation(graph: SceneGraph, rng: np.random.Generator) -> SceneGraph:
    """One relation becomes its opposite."""
    relations = list(graph.relations)
    n = int(rng.integers(len(relations)))
    opposite = world.OPPOSITE[relations[n].relation]
    relations[n] = relations[n].model_copy(update={"relation": opposite})
    return SceneGraph(items=graph.items, relations=tuple(relations))


def change_relation(graph: SceneGraph, rng: np.random.Generator) -> SceneGraph:
    """One relation becomes any other."""
    relations = list(graph.relations)
    n = int(rng.integers(len(relations)))
    others = [name for name in world.OPPOSITE if name != relations[n].relation]
    relations[n] = relations[n].model_copy(update={"relation": str(rng.choice(others))})
    return SceneGraph(items=graph.items, relations=tuple(relations))


def change_object(graph: SceneGraph, rng: np.random.Generator) -> SceneGraph:
    """One object (all of its kind, when counted) gets another colour or another shape."""
    phrase = graph.items[int(rng.integers(len(graph.items)))].phrase
    if rng.random() < 0.5:
        update: dict[str, object] = {"attributes": (str(rng.choice(list(world.COLOURS))),)}
    else:
        update = {"label": str(rng.choice(list(world.SHAPES)))}
    items = tuple(_changed(item, phrase, update) for item in graph.items)
    return SceneGraph(items=items, relations=graph.relations)


def _changed(item: Item, phrase: str, update: dict[str, object]) -> Item:
    return item.model_copy(update=update) if item.phrase == phrase else item


def negative(graph: SceneGraph, change: Change, rng: np.random.Generator) -> str | None:
    """A caption that `change` made wrong; None when it changed nothing or can't be said."""
    try:
        text = world.caption(change(graph, rng))
    except ValueError:
        return None
    return None if text == world.caption(graph) else text


def any_negative(graph: SceneGraph, rng: np.random.Generator) -> str:
    """A wrong caption of any kind that suits the graph."""
    changes: list[Change] = [change_object]
    if len({item.phrase for item in graph.items}) > 1:
        changes.append(swap_colours)
    if graph.relations:
        changes += [turn_relation, change_relation]
    while True:
        text = negative(graph, changes[int(rng.integers(len(changes)))], rng)
        if text is not None:
            return text
