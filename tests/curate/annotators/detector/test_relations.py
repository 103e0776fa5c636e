"""Relations from boxes, on boxes whose answer can be seen."""

from __future__ import annotations

import pytest

from invdpo.curate.annotators.detector.boxes import Detection
from invdpo.curate.annotators.detector.relations import (
    MOST_OVERLAP,
    NEAR,
    Predicates,
    direction,
    near,
    overlap,
)
from invdpo.curate.scene_graphs.vocabulary import read_vocabulary
from invdpo.schemas import SceneGraph
from invdpo.schemas.graph import Box

SQUARE = (512, 512)
HERE: Box = (0.4, 0.4, 0.6, 0.6)


def moved(across: float, along: float, box: Box = HERE) -> Box:
    return box[0] + across, box[1] + along, box[2] + across, box[3] + along


def test_overlap() -> None:
    assert overlap(HERE, HERE) == pytest.approx(1)
    assert overlap(HERE, moved(0.1, 0)) == pytest.approx(1 / 3)
    assert overlap(HERE, moved(0.2, 0)) == pytest.approx(0)
    assert overlap(HERE, moved(0.3, 0.3)) == 0
    assert overlap((0.5, 0.5, 0.5, 0.5), (0.5, 0.5, 0.5, 0.5)) == 0


@pytest.mark.parametrize(
    ("across", "along", "expected"),
    [
        (0.3, 0.1, "left of"),
        (-0.3, 0.1, "right of"),
        (0.1, 0.3, "above"),
        (0.1, -0.3, "below"),
        (0.3, 0.3, None),  # as far across as along
        (0.1, 0.0, None),  # overlap of a third
        (0.163, 0.0, None),  # 0.037 / 0.363 = 0.102
        (0.165, 0.0, "left of"),  # 0.035 / 0.365 = 0.096
    ],
)
def test_direction(across: float, along: float, expected: str | None) -> None:
    """Where HERE is, seen from a box of its size that lies so far to the right and below."""
    other = moved(across, along)
    assert direction(HERE, other, SQUARE) == expected
    opposite = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    assert direction(other, HERE, SQUARE) == (opposite[expected] if expected else None)
    assert (overlap(HERE, other) >= MOST_OVERLAP or abs(across) == abs(along)) == (not expected)


def test_direction_counts_pixels_not_fractions() -> None:
    """In a picture twice as wide as high, a tenth across is as far as two tenths along."""
    other = moved(0.25, 0.3)
    assert direction(HERE, other, SQUARE) == "above"
    assert direction(HERE, other, (1024, 512)) == "left of"


@pytest.mark.parametrize(
    ("across", "along", "expected"),
    [(0.31, 0.31, True), (0.32, 0.32, False), (0.32, 0.1, True), (0.1, -0.5, True)],
)
def test_near(across: float, along: float, expected: bool) -> None:
    """Less than 150 of 479 pixels, 0.3132, across or along."""
    assert pytest.approx(0.31315, abs=1e-5) == NEAR
    assert near(HERE, moved(across, along), SQUARE) is expected


def seen(*things: tuple[str, Box]) -> list[Detection]:
    return [Detection(label, box, 0.5) for label, box in things]


def graph(*relations: tuple[int, str, int]) -> SceneGraph:
    return SceneGraph.from_dict(
        {
            "items": [
                {"item_id": n, "label": label} for n, label in enumerate(("cat", "dog", "cat"))
            ],
            "relations": [{"item1": a, "relation": r, "item2": b} for a, r, b in relations],
        }
    )


@pytest.fixture
def predicates() -> Predicates:
    return Predicates(read_vocabulary().relations)


def told(predicates: Predicates, asked: SceneGraph, things: list[Detection]) -> list[object]:
    return [tuple(found.values()) for found in predicates.relations(asked, things, SQUARE)]


def test_what_is_asked_is_told_in_the_prompts_words(predicates: Predicates) -> None:
    things = seen(("cat", moved(-0.3, 0)), ("dog", HERE))
    assert told(predicates, graph((0, "left of", 1)), things) == [(0, "left of", 1)]
    assert told(predicates, graph((0, "On the left  of", 1)), things) == [(0, "On the left  of", 1)]
    assert told(predicates, graph((1, "to the right of", 0)), things) == [(1, "to the right of", 0)]


def test_what_holds_instead_is_told(predicates: Predicates) -> None:
    things = seen(("cat", moved(0, -0.3)), ("dog", HERE))
    assert told(predicates, graph((0, "on the left of", 1)), things) == [(0, "above", 1)]
    assert told(predicates, graph((0, "near", 1)), things) == [(0, "near", 1)]
    far = seen(("cat", (0, 0, 0.1, 0.1)), ("dog", (0.8, 0.8, 1, 1)))
    assert told(predicates, graph((0, "near", 1)), far) == []


def test_every_two_things_of_these_names_are_compared(predicates: Predicates) -> None:
    things = seen(("cat", moved(-0.35, 0)), ("dog", HERE), ("cat", moved(0.35, 0)))
    assert told(predicates, graph((0, "left of", 1)), things) == [
        (0, "left of", 1),
        (2, "right of", 1),
    ]
    assert told(predicates, graph((0, "left of", 2)), things) == [
        (0, "left of", 2),
        (2, "right of", 0),
    ]


def test_what_boxes_cannot_tell_is_named(predicates: Predicates) -> None:
    asked = graph((0, "chasing", 1), (0, "behind", 1), (0, "left of", 1), (2, "chasing", 1))
    assert predicates.unknown(asked) == ["chasing", "behind"]
    assert told(predicates, asked, seen(("cat", HERE), ("dog", moved(0.2, 0)))) == [
        (0, "left of", 1)
    ]
    assert told(predicates, asked, []) == []
