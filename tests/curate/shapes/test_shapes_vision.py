"""The annotator reads rendered scenes almost without error, and says when it can't."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from invdpo.curate.shapes import vision
from invdpo.curate.shapes.render import render
from invdpo.curate.shapes.scenes import Fact, layout, sample_graph
from invdpo.schemas import SceneGraph

Picture = NDArray[np.uint8]
Spoil = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]


@cache
def scenes(count: int) -> list[tuple[SceneGraph, Picture]]:
    rng = np.random.default_rng(11)
    drawn = [sample_graph(rng, "train") for _ in range(count)]
    return [(graph, render(layout(graph, rng), rng)) for graph in drawn]


def facts(graph: SceneGraph) -> set[Fact | tuple[str, int]]:
    """How many objects there are of each kind, and every relation, as one set."""
    phrase = {item.item_id: item.phrase for item in graph.items}
    relations = {(phrase[r.item1], r.relation, phrase[r.item2]) for r in graph.relations}
    return set(Counter(phrase.values()).items()) | relations


def share_right(pairs: list[tuple[SceneGraph, Picture]]) -> float:
    """The fraction of intended facts that the annotator saw, invented kinds counted as wrong."""
    right = total = 0
    for graph, picture in pairs:
        wanted, seen = facts(graph), facts(vision.observe(picture))
        invented = {fact for fact in seen - wanted if len(fact) == 2}
        right += len(wanted & seen)
        total += len(wanted | invented)
    return right / total


def test_at_least_99_percent_of_facts_on_2000_rendered_scenes() -> None:
    assert share_right(scenes(2000)) >= 0.99


def blur(picture: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return ndimage.gaussian_filter(picture, (1.0, 1.0, 0))


def noise(picture: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return picture + rng.normal(0, 12, picture.shape)


def clutter(picture: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Twelve specks of 2×2 pixels of any colour, some on the objects, and a grey frame."""
    spoilt = picture.copy()
    for x, y in rng.integers(0, 62, size=(12, 2)):
        spoilt[y : y + 2, x : x + 2] = rng.integers(0, 256, size=3)
    spoilt[0] = spoilt[-1] = 120
    return spoilt


@pytest.mark.parametrize(("spoil", "floor"), [(blur, 0.99), (noise, 0.99), (clutter, 0.97)])
def test_spoilt_pictures(spoil: Spoil, floor: float) -> None:
    rng = np.random.default_rng(12)
    spoilt = [
        (graph, np.clip(np.rint(spoil(picture.astype(float), rng)), 0, 255).astype(np.uint8))
        for graph, picture in scenes(500)
    ]
    assert share_right(spoilt) >= floor


def test_boxes_confidences_and_both_directions() -> None:
    for graph, picture in scenes(50):
        seen = vision.observe(picture)
        assert len(seen.items) == len(graph.items)
        assert len(seen.relations) == len(seen.items) * (len(seen.items) - 1)
        for item in seen.items:
            assert item.box is not None
            assert item.confidence is not None
            x0, y0, x1, y1 = item.box
            assert 0 <= x0 < x1 <= 1
            assert 0 <= y0 < y1 <= 1
            assert 0.5 < item.confidence <= 1


def canvas() -> Picture:
    return np.full((64, 64, 3), 235, dtype=np.uint8)


def test_an_empty_picture_holds_nothing() -> None:
    assert vision.observe(canvas()) == SceneGraph(items=(), relations=())


def test_a_shape_outside_the_vocabulary_is_not_guessed() -> None:
    picture = canvas()
    picture[30:34, 8:56] = (220, 40, 40)
    (item,) = vision.observe(picture).items
    assert item.label == vision.BLOB
    assert item.confidence is not None
    assert item.confidence < 0.5


def test_two_merged_objects_are_not_taken_for_one() -> None:
    picture = canvas()
    picture[20:36, 10:26] = picture[24:40, 26:42] = (220, 40, 40)
    assert [item.label for item in vision.observe(picture).items] == [vision.BLOB]


def test_an_alpha_channel_is_ignored() -> None:
    _, picture = scenes(50)[0]
    with_alpha = np.dstack([picture, np.full((64, 64), 255, np.uint8)])
    assert vision.observe(with_alpha) == vision.observe(picture)
