"""Places for the objects of a scene that make its stated relations clearly true.

Places and radii are fractions of the picture's side, 0..1, origin at the top left.
Legend: n layouts tried at once, k objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from invdpo.schemas import Item, SceneGraph

GAP = 0.05
"""Least distance between two objects' rims."""
CLEAR = 1.35
"""How many times the deciding distance between two centres exceeds the other one."""
RADII = {1: (0.17, 0.24), 2: (0.15, 0.20), 3: (0.12, 0.15)}
"""Least and greatest radius by the number of objects."""


class Placed(NamedTuple):
    """An object with its place."""

    shape: str
    colour: str
    x: float
    y: float
    radius: float


def layout(graph: SceneGraph, rng: np.random.Generator) -> tuple[Placed, ...]:
    """Places, in the order of the items, that make every stated relation clearly true.

    Raises `ValueError` for more objects than `RADII` knows, or relations that contradict.
    """
    count = len(graph.items)
    if count not in RADII:
        raise ValueError(f"A scene holds 1 to {max(RADII)} objects, not {count}.")
    for _ in range(400):
        radius = rng.uniform(*RADII[count], size=(256, count))
        spot = (
            radius[..., None] + 0.015 + rng.random((256, count, 2)) * (0.97 - 2 * radius[..., None])
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
