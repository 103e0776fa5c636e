"""Reads a picture of the embedded world back into a scene graph, by classical vision.

Saturated pixels are split by hue into connected blobs; each blob is turned into a patch of unit
area and compared with a bank of such patches of every known shape. It knows nothing of the prompt
or of the model, and what fits no shape is called `BLOB` rather than guessed.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from invdpo.curate.shapes.render import coverage
from invdpo.curate.shapes.scenes import relation_between
from invdpo.curate.shapes.world import COLOURS, SHAPES
from invdpo.schemas import Item, Relation, SceneGraph

BLOB = "blob"
"""The label of what is coloured and large enough but fits no shape."""

CHROMA = 56.0
"""Least spread between the channels of a pixel that belongs to an object, of 255."""
LEAST = 0.006
"""Least area of an object, as a fraction of the picture."""
FIT = 0.80
"""Least overlap (soft intersection over union, 0..1) with a known shape."""
MARGIN = 0.05
"""By how much the best shape must lead the second for full confidence."""

PATCH = 24
"""Side of a patch in cells."""
SPAN = 1.35
"""Half the side of a patch, in units of the square root of the blob's area."""
TURNS = (-10.0, -5.0, 0.0, 5.0, 10.0)

Mask = NDArray[np.float32]


class Reading(NamedTuple):
    """A shape's name, and how sure it is, 0..1."""

    label: str
    confidence: float


def observe(image: NDArray[np.uint8]) -> SceneGraph:
    """What an H×W×3 picture shows: objects with colour, box and confidence, larger ones first.

    Both directions of the relation between every two objects are written, so that the triples of
    an intended graph can be looked up as they stand.
    """
    items = tuple(_items(np.asarray(image, dtype=np.float32)[..., :3]))
    return SceneGraph(items=items, relations=relations(items))


def relations(items: tuple[Item, ...]) -> tuple[Relation, ...]:
    """The relation of every ordered pair, by the centres of their boxes."""
    centre = {
        thing.item_id: ((thing.box[0] + thing.box[2]) / 2, (thing.box[1] + thing.box[3]) / 2)
        for thing in items
        if thing.box is not None
    }
    return tuple(
        Relation(item1=i, relation=relation_between(*centre[i], *centre[j]), item2=j)
        for i, j in permutations(centre, 2)
    )


def _items(image: NDArray[np.float32]) -> list[Item]:
    chroma = image.max(axis=2) - image.min(axis=2)
    found = [
        (float(blob.sum()), colour, blob, window)
        for colour, mask in _by_colour(image, chroma > CHROMA).items()
        for blob, window in _blobs(mask)
    ]
    found.sort(key=lambda entry: -entry[0])
    return [
        _item(n, colour, blob, window, chroma)
        for n, (_, colour, blob, window) in enumerate(found)
    ]


def _by_colour(
    image: NDArray[np.float32], inside: NDArray[np.bool_]
) -> dict[str, NDArray[np.bool_]]:
    """A mask for each colour: the pixels whose hue is nearest to it."""
    direction = _hue(image[inside])
    nearest = np.argmax(direction @ _hue_table().T, axis=1)
    label = np.full(inside.shape, -1)
    label[inside] = nearest
    return {name: label == n for n, name in enumerate(COLOURS) if np.any(nearest == n)}


def _hue(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """n×3 colours to n×2 unit vectors: the direction in the plane across the grey axis."""
    red, green, blue = rgb.T
    plane = np.stack([red - 0.5 * (green + blue), 0.8660254 * (green - blue)], axis=1)
    unit: NDArray[np.float32] = plane / np.maximum(np.hypot(*plane.T), 1e-6)[:, None]
    return unit


@cache
def _hue_table() -> NDArray[np.float32]:
    return _hue(np.asarray(list(COLOURS.values()), dtype=np.float32))


def _blobs(
    mask: NDArray[np.bool_],
) -> list[tuple[NDArray[np.bool_], tuple[slice, slice]]]:
    """Connected parts large enough to be objects, each with its window."""
    labels, _ = ndimage.label(mask)
    windows = ndimage.find_objects(labels)
    parts = [(labels[window] == n, window) for n, window in enumerate(windows, start=1)]
    return [(part, window) for part, window in parts if part.sum() >= LEAST * mask.size]


def _item(
    item_id: int,
    colour: str,
    blob: NDArray[np.bool_],
    window: tuple[slice, slice],
    chroma: NDArray[np.float32],
) -> Item:
    height, width = chroma.shape
    rows, columns = window
    reading = read_shape(blob.astype(np.float32))
    return Item(
        item_id=item_id,
        label=reading.label,
        attributes=(colour,),
        box=(
            columns.start / width,
            rows.start / height,
            columns.stop / width,
            rows.stop / height,
        ),
        confidence=round(reading.confidence, 3),
    )


def read_shape(mask: Mask) -> Reading:
    """Name the shape of one blob, given as h×w coverage 0..1."""
    patch = _unit_area(mask).ravel()
    names, bank = _bank()
    common = np.minimum(bank, patch).sum(axis=1)
    overlap = common / (bank.sum(axis=1) + patch.sum() - common)
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
def _bank() -> tuple[NDArray[np.str_], Mask]:
    """Names and flat patches of every shape at several turns."""
    radius, size = 12.0, 40
    axis = np.arange(size, dtype=np.float32) + 0.5 - size / 2
    names, patches = [], []
    for shape in SHAPES:
        for turn in TURNS:
            names.append(shape)
            patches.append(_unit_area(coverage(shape, axis, axis[:, None], radius, turn)).ravel())
    return np.asarray(names), np.stack(patches)
