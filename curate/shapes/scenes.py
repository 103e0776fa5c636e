"""Scenes of the embedded world: graphs drawn at random, and places that make them true.

Whether a relation between two kinds of objects belongs to `train`, `validation` or `heldout` is
decided by a hash of the fact itself, so no fact of one split is ever stated in another, and
`visible` lets the training set leave out scenes that show such a fact without stating it.
Places and radii are fractions of the picture's side, 0..1, origin at the top left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from invdpo.curate.shapes import world
from invdpo.schemas import Item, Relation, SceneGraph

Split = Literal["train", "validation", "heldout"]
Kind = tuple[str, str]
"""(colour, shape)."""
Fact = tuple[str, str, str]
"""(phrase, relation, phrase), such as ("red circle", "above", "blue square")."""

GAP = 0.05
"""Least distance between two objects' rims."""
CLEAR = 1.35
"""How many times the deciding distance between two centres exceeds the other one."""
RADII = {1: (0.15, 0.22), 2: (0.135, 0.185), 3: (0.12, 0.15)}
"""Least and greatest radius by the number of objects."""
MIX: dict[str, dict[str, float]] = {
    "train": {"one": 0.06, "count": 0.10, "plain": 0.06, "pair": 0.48, "triple": 0.30},
    "validation": {"pair": 0.7, "triple": 0.3},
    "heldout": {"pair": 0.7, "triple": 0.3},
}
"""How often each form of scene is drawn in each split."""

KINDS: tuple[Kind, ...] = tuple((c, s) for c in world.COLOURS for s in world.SHAPES)


class Placed(NamedTuple):
    """An object with its place."""

    shape: str
    colour: str
    x: float
    y: float
    radius: float


def canonical(fact: Fact) -> Fact:
    """The same fact in its first direction: B right of A becomes A left of B."""
    subject, relation, target = fact
    order = list(world.OPPOSITE)
    opposite = world.OPPOSITE[relation]
    return (target, opposite, subject) if order.index(opposite) < order.index(relation) else fact


def split_of(fact: Fact) -> Split:
    """The split a fact belongs to: 75 % train, 5 % validation, 20 % held out."""
    digest = hashlib.sha256("|".join(canonical(fact)).encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    return "train" if share < 0.75 else "validation" if share < 0.80 else "heldout"


def facts(graph: SceneGraph) -> set[Fact]:
    """The stated facts of a graph, canonical."""
    phrase = {thing.item_id: thing.phrase for thing in graph.items}
    return {canonical((phrase[r.item1], r.relation, phrase[r.item2])) for r in graph.relations}


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
        if all(split_of(fact) == split for fact in facts(graph)):
            return graph


def layout(graph: SceneGraph, rng: np.random.Generator) -> tuple[Placed, ...]:
    """Places, in the order of the items, that make every stated relation clearly true.

    Raises `ValueError` for more objects than `RADII` knows, or relations that contradict.
    """
    count = len(graph.items)
    if count not in RADII:
        raise ValueError(f"A scene holds 1 to {max(RADII)} objects, not {count}.")
    for _ in range(400):
        radius = rng.uniform(*RADII[count], size=(256, count))
        spot = radius[..., None] + 0.015 + rng.random((256, count, 2)) * (
            0.97 - 2 * radius[..., None]
        )
        good = np.flatnonzero(_apart(spot, radius) & _true(graph, spot))
        if good.size:
            return _placed(graph.items, spot[good[0]], radius[good[0]])
    raise ValueError("No places found that make all these relations true.")


def _apart(spot: NDArray[np.float64], radius: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of n layouts keep all objects apart; spot n×k×2, radius n×k."""
    good = np.ones(len(spot), dtype=bool)
    for i, j in combinations(range(radius.shape[1]), 2):
        distance = np.hypot(*(spot[:, i] - spot[:, j]).T)
        good &= distance > radius[:, i] + radius[:, j] + GAP
    return good


def _true(graph: SceneGraph, spot: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of n layouts clearly satisfy all relations; spot n×k×2."""
    index = {thing.item_id: n for n, thing in enumerate(graph.items)}
    good = np.ones(len(spot), dtype=bool)
    for relation in graph.relations:
        dx, dy = (spot[:, index[relation.item2]] - spot[:, index[relation.item1]]).T
        along, across = (dx, dy) if relation.relation.endswith("of") else (dy, dx)
        sign = 1 if relation.relation in ("left of", "above") else -1
        good &= sign * along > CLEAR * np.abs(across)
    return good


def _placed(
    items: Sequence[Item], spot: NDArray[np.float64], radius: NDArray[np.float64]
) -> tuple[Placed, ...]:
    return tuple(
        Placed(thing.label, thing.attributes[0], float(x), float(y), float(r))
        for thing, (x, y), r in zip(items, spot, radius, strict=True)
    )


def relation_between(x0: float, y0: float, x1: float, y1: float) -> str:
    """How the first centre stands to the second, by the larger distance (T2I-CompBench's rule)."""
    dx, dy = x1 - x0, y1 - y0
    if abs(dx) > abs(dy):
        return "left of" if dx > 0 else "right of"
    return "above" if dy > 0 else "below"


def visible(placed: Sequence[Placed]) -> set[Fact]:
    """Every fact that a scene shows between objects of different kinds, stated or not."""
    shown: set[Fact] = set()
    for one, other in combinations(placed, 2):
        if (one.colour, one.shape) != (other.colour, other.shape):
            name = relation_between(one.x, one.y, other.x, other.y)
            fact = (f"{one.colour} {one.shape}", name, f"{other.colour} {other.shape}")
            shown.add(canonical(fact))
    return shown
