"""Draws a scene: anti-aliased shapes on a light ground, with shade, turn and ground at random.

H = W = size of the image in pixels. Coverage follows from the signed distance to the outline, so
a shape's edge is exact to a fraction of a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from invdpo.curate.shapes.layout import PlacedObject
from invdpo.curate.shapes.world import COLOURS, SHAPES

SIZE = 64
TURN = 7.0
"""Greatest random turn of a shape, in degrees."""


def render(
    placed: Sequence[PlacedObject], rng: np.random.Generator, size: int = SIZE
) -> NDArray[np.uint8]:
    """The scene as H×W×3 uint8; shade, turn and ground vary with the generator."""
    picture = np.empty((size, size, 3), dtype=np.float32)
    picture[:] = rng.uniform(216, 246) + rng.uniform(-7, 7, size=3)
    for thing in placed:
        _draw(picture, thing, shade(thing.colour, rng), rng.uniform(-TURN, TURN))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def shade(colour: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """A random shade of a named colour, RGB in 0..255."""
    return np.asarray(COLOURS[colour]) * rng.uniform(0.88, 1.05) + rng.uniform(-8, 8, size=3)


def _draw(
    picture: NDArray[np.float32], thing: PlacedObject, rgb: NDArray[np.float64], turn: float
) -> None:
    """Blend one shape into the image, touching only the window around it."""
    size = len(picture)
    radius = thing.radius * size
    x, y = thing.x * size, thing.y * size + SHAPES[thing.shape].drop * radius
    reach = 1.1 * radius + 2
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    right, bottom = min(size, int(x + reach) + 1), min(size, int(y + reach) + 1)
    columns = np.arange(left, right, dtype=np.float32) + 0.5 - x
    rows = np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5 - y
    alpha = coverage(thing.shape, columns, rows, radius, turn)[..., None]
    window = picture[top:bottom, left:right]
    window += alpha * (rgb.astype(np.float32) - window)


def coverage(
    shape: str, x: NDArray[np.float32], y: NDArray[np.float32], radius: float, turn: float = 0
) -> NDArray[np.float32]:
    """How much of each pixel a shape covers, 0..1; x, y in pixels from its centre, y down."""
    outline = SHAPES[shape]
    step = 2 * math.pi / outline.points
    angle = np.arctan2(x, -y) - math.radians(outline.turn + turn)
    # Folding the plane into half a sector leaves one straight edge, from a corner to a notch.
    folded = np.abs(angle - step * np.round(angle / step))
    distance = np.hypot(x, y)
    u, v = distance * np.cos(folded), distance * np.sin(folded)
    corner = outline.outer * radius
    notch_u = outline.inner * radius * math.cos(step / 2)
    notch_v = outline.inner * radius * math.sin(step / 2)
    edge = math.hypot(corner - notch_u, notch_v)
    outside = (notch_v * (u - corner) + (corner - notch_u) * v) / edge
    covered: NDArray[np.float32] = np.clip(0.5 - outside, 0, 1).astype(np.float32)
    return covered
