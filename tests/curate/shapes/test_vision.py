"""The annotator reads rendered scenes almost without error, and says when it can't."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from benchmarks import spoilt
from invdpo.curate.shapes import vision
from invdpo.curate.shapes.shape_matching import BLOB
from invdpo.schemas import SceneGraph


@cache
def scenes(count: int) -> list[spoilt.Scene]:
    return spoilt.scenes(count)


def test_at_least_99_percent_of_facts_on_2000_rendered_scenes() -> None:
    assert spoilt.share_right(scenes(2000)) >= 0.99


@pytest.mark.parametrize(
    ("spoil", "floor"), [(spoilt.blur, 0.99), (spoilt.noise, 0.99), (spoilt.clutter, 0.97)]
)
def test_spoilt_pictures(spoil: spoilt.Spoil, floor: float) -> None:
    assert spoilt.share_right(spoilt.spoilt(scenes(500), spoil)) >= floor


def test_what_is_wrong_or_invented_counts() -> None:
    (graph, _), (_, other) = scenes(50)[:2]
    assert spoilt.share_right([(graph, other)]) < 0.5
    assert spoilt.share_right([(graph, canvas())]) == 0.0


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


def canvas() -> spoilt.Picture:
    return np.full((64, 64, 3), 235, dtype=np.uint8)


def test_an_empty_picture_holds_nothing() -> None:
    assert vision.observe(canvas()) == SceneGraph(items=(), relations=())


def test_a_shape_outside_the_vocabulary_is_not_guessed() -> None:
    picture = canvas()
    picture[30:34, 8:56] = (220, 40, 40)
    (item,) = vision.observe(picture).items
    assert item.label == BLOB
    assert item.confidence is not None
    assert item.confidence < 0.5


def test_two_merged_objects_are_not_taken_for_one() -> None:
    picture = canvas()
    picture[20:36, 10:26] = picture[24:40, 26:42] = (220, 40, 40)
    assert [item.label for item in vision.observe(picture).items] == [BLOB]


def test_an_alpha_channel_is_ignored() -> None:
    _, picture = scenes(50)[0]
    with_alpha = np.dstack([picture, np.full((64, 64), 255, np.uint8)])
    assert vision.observe(with_alpha) == vision.observe(picture)
