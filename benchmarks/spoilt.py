"""Rendered scenes, spoilt in three ways, and the share of their facts that is read right.

An image is (64, 64, 3) uint8; spoiling takes and gives float64 of the same range, 0 .. 255.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from invdpo.curate.shapes.layout import layout
from invdpo.curate.shapes.render import render
from invdpo.curate.shapes.scenes import sample_graph
from invdpo.curate.shapes.vision import observe
from invdpo.schemas import SceneGraph
from invdpo.schemas.graph import Fact

Picture = NDArray[np.uint8]
Scene = tuple[SceneGraph, Picture]
Spoil = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]


def scenes(count: int, seed: int = 11) -> list[Scene]:
    """Graphs of the training split, each with an image of it."""
    rng = np.random.default_rng(seed)
    drawn = [sample_graph(rng, "train") for _ in range(count)]
    return [(graph, render(layout(graph, rng), rng)) for graph in drawn]


def facts(graph: SceneGraph) -> set[Fact | tuple[str, int]]:
    """How many objects there are of each kind, and every relation, as one set."""
    phrase = {item.item_id: item.phrase for item in graph.items}
    relations = {(phrase[r.item1], r.relation, phrase[r.item2]) for r in graph.relations}
    return set(Counter(phrase.values()).items()) | relations


def share_right(pairs: Iterable[Scene]) -> float:
    """The fraction of intended facts that the annotator saw, invented kinds counted as wrong."""
    right = total = 0
    for graph, picture in pairs:
        wanted, seen = facts(graph), facts(observe(picture))
        invented = {fact for fact in seen - wanted if len(fact) == 2}
        right += len(wanted & seen)
        total += len(wanted | invented)
    return right / total


def spoilt(pairs: Iterable[Scene], spoil: Spoil, seed: int = 12) -> Iterator[Scene]:
    """The same graphs with spoilt images."""
    rng = np.random.default_rng(seed)
    for graph, picture in pairs:
        values = np.rint(spoil(picture.astype(float), rng))
        yield graph, np.clip(values, 0, 255).astype(np.uint8)


def blur(picture: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """By a Gaussian of one pixel."""
    blurred: NDArray[np.float64] = ndimage.gaussian_filter(picture, (1.0, 1.0, 0))
    return blurred


def noise(picture: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Gaussian, of 12 levels out of 255."""
    return picture + rng.normal(0, 12, picture.shape)


def clutter(picture: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Twelve specks of 2×2 pixels of any colour, some on the objects, and a grey frame."""
    cluttered = picture.copy()
    for x, y in rng.integers(0, 62, size=(12, 2)):
        cluttered[y : y + 2, x : x + 2] = rng.integers(0, 256, size=3)
    cluttered[0] = cluttered[-1] = 120
    return cluttered


SPOILS: dict[str, Spoil] = {"blurred by a pixel": blur, "noise of 12/255": noise, "specks": clutter}
