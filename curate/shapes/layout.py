"""Positions for the objects of a scene that make its stated relations clearly true.

Positions and radii are fractions of the image's side, 0..1, origin at the top left.
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
"""How many times the distance across a relation the distance along it is, at least."""
RADII = {1: (0.17, 0.24), 2: (0.15, 0.20), 3: (0.12, 0.15)}
"""Least and greatest radius by the number of objects."""


class PlacedObject(NamedTuple):
    """An object with its position."""

    shape: str
    colour: str
    x: float
    y: float
    radius: float


def layout(graph: SceneGraph, rng: np.random.Generator) -> tuple[PlacedObject, ...]:
    """Positions, in the order of the items, that make every stated relation clearly true.

    Raises `ValueError` for more objects than `RADII` knows, or contradicting relations.
    """
    count = len(graph.items)
    if count not in RADII:
        raise ValueError(f"A scene holds 1 to {max(RADII)} objects, not {count}.")
    for _ in range(400):
        radius = rng.uniform(*RADII[count], size=(256, count))
        centre = (
            radius[..., None] + 0.015 + rng.random((256, count, 2)) * (0.97 - 2 * radius[..., None])
        )
        valid = np.flatnonzero(_keep_apart(centre, radius) & _relations_true(graph, centre))
        if valid.size:
            return _placed(graph.items, centre[valid[0]], radius[valid[0]])
    raise ValueError("No positions found that make all these relations true.")


def _keep_apart(centre: NDArray[np.float64], radius: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of n layouts keep all objects apart; centre n×k×2, radius n×k."""
    valid = np.ones(len(centre), dtype=bool)
    for i, j in combinations(range(radius.shape[1]), 2):
        distance = np.hypot(*(centre[:, i] - centre[:, j]).T)
        valid &= distance > radius[:, i] + radius[:, j] + GAP
    return valid


def _relations_true(graph: SceneGraph, centre: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of n layouts clearly satisfy all relations; centre n×k×2."""
    index = {thing.item_id: n for n, thing in enumerate(graph.items)}
    valid = np.ones(len(centre), dtype=bool)
    for relation in graph.relations:
        dx, dy = (centre[:, index[relation.item2]] - centre[:, index[relation.item1]]).T
        along, across = (dx, dy) if relation.relation.endswith("of") else (dy, dx)
        sign = 1 if relation.relation in ("left of", "above") else -1
        valid &= sign * along > CLEAR * np.abs(across)
    return valid


def _placed(
    items: Sequence[Item], centre: NDArray[np.float64], radius: NDArray[np.float64]
) -> tuple[PlacedObject, ...]:
    return tuple(
        PlacedObject(thing.label, thing.attributes[0], float(x), float(y), float(r))
        for thing, (x, y), r in zip(items, centre, radius, strict=True)
    )
