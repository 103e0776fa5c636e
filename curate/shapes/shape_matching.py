"""Names the shape of a blob by comparing it with every known shape of equal area.

Legend: P = `PATCH`, the side of a patch in cells.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from invdpo.curate.shapes.render import coverage
from invdpo.curate.shapes.world import SHAPES

BLOB = "blob"
"""The label of what is coloured and large enough but fits no shape."""
FIT = 0.80
"""Least overlap (soft intersection over union, 0..1) with a known shape."""
MARGIN = 0.05
"""By how much the best shape must lead the second for full confidence."""
PATCH = 24
SPAN = 1.35
"""Half the side of a patch, in units of the square root of the blob's area."""
TURNS = (-10.0, -5.0, 0.0, 5.0, 10.0)
"""Degrees by which the known shapes are turned."""

Mask = NDArray[np.float32]


class Reading(NamedTuple):
    """A shape's name, and how sure it is, 0..1."""

    label: str
    confidence: float


def read_shape(mask: Mask) -> Reading:
    """Name the shape of one blob, given as h×w coverage 0..1."""
    patch = _unit_area(mask).ravel()
    names, patches = _known_patches()
    common = np.minimum(patches, patch).sum(axis=1)
    overlap = common / (patches.sum(axis=1) + patch.sum() - common)
    best = {name: float(overlap[names == name].max()) for name in SHAPES}
    first, second = sorted(best, key=lambda name: -best[name])[:2]
    sure = min(1.0, (best[first] - best[second]) / MARGIN)
    if best[first] < FIT:
        return Reading(BLOB, sure * best[first] / 2)
    return Reading(first, sure * best[first])


def _unit_area(mask: Mask) -> Mask:
    """Shift and scale a mask to its centre of mass and area 1, as a PATCH×PATCH patch."""
    area = float(mask.sum())
    rows, columns = np.arange(mask.shape[0]), np.arange(mask.shape[1])
    y, x = (rows @ mask).sum() / area, (mask @ columns).sum() / area
    cells = (np.arange(PATCH) + 0.5) * (2 * SPAN / PATCH) - SPAN
    return _sample(mask, y + cells * area**0.5, x + cells * area**0.5)


def _sample(mask: Mask, y: NDArray[np.float64], x: NDArray[np.float64]) -> Mask:
    """Bilinear samples of a mask at the rows y and columns x, 0 outside: P×P."""
    down = np.maximum(0, 1 - np.abs(y[:, None] - np.arange(mask.shape[0])))
    across = np.maximum(0, 1 - np.abs(x[:, None] - np.arange(mask.shape[1])))
    patch: Mask = (down @ mask @ across.T).astype(np.float32)
    return patch


@cache
def _known_patches() -> tuple[NDArray[np.str_], Mask]:
    """Names and flat patches of every shape at several turns."""
    radius, size = 12.0, 40
    axis = np.arange(size, dtype=np.float32) + 0.5 - size / 2
    names, patches = [], []
    for shape in SHAPES:
        for turn in TURNS:
            names.append(shape)
            patches.append(_unit_area(coverage(shape, axis, axis[:, None], radius, turn)).ravel())
    return np.asarray(names), np.stack(patches)
