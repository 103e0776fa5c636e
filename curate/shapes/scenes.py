"""Scenes of the embedded world: intended graphs, sampled from the facts of one split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from invdpo.curate.shapes import world
from invdpo.curate.shapes.held_out import Split, split_of
from invdpo.schemas import Relation, SceneGraph

Kind = tuple[str, str]
"""(colour, shape)."""
KINDS: tuple[Kind, ...] = tuple((c, s) for c in world.COLOURS for s in world.SHAPES)
MIX: dict[str, dict[str, float]] = {
    "train": {"one": 0.06, "count": 0.10, "plain": 0.06, "pair": 0.48, "triple": 0.30},
    "validation": {"pair": 0.7, "triple": 0.3},
    "heldout": {"pair": 0.7, "triple": 0.3},
}
"""How often each form of scene is sampled in each split."""


def sample_graph(rng: np.random.Generator, split: Split) -> SceneGraph:
    """One intended graph of 1 to 3 objects, all of whose stated facts belong to the split."""
    mix = MIX[split]
    form = str(rng.choice(list(mix), p=list(mix.values())))
    if form in ("pair", "triple"):
        return _related(rng, split, 2 if form == "pair" else 3)
    if form == "count":
        return _graph(_kinds(rng, 1) * int(rng.integers(2, 4)))
    return _graph(_kinds(rng, 1 if form == "one" else 2))


def _kinds(rng: np.random.Generator, count: int) -> list[Kind]:
    return [KINDS[i] for i in rng.choice(len(KINDS), size=count, replace=False)]


def _graph(kinds: Sequence[Kind], relations: Sequence[Relation] = ()) -> SceneGraph:
    items = tuple(world.item(n, colour, shape) for n, (colour, shape) in enumerate(kinds))
    return SceneGraph(items=items, relations=tuple(relations))


def _related(rng: np.random.Generator, split: Split, count: int) -> SceneGraph:
    """Object 0 stands in a relation to object 1, and so does object 2 if there is one."""
    while True:
        names = [str(name) for name in rng.choice(list(world.OPPOSITE), size=count - 1)]
        relations = [Relation(item1=2 * n, relation=r, item2=1) for n, r in enumerate(names)]
        graph = _graph(_kinds(rng, count), relations)
        if all(split_of(fact) == split for fact in graph.facts()):
            return graph
