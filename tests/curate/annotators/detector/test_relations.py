"""Relations from boxes, on boxes whose answer can be seen."""

from __future__ import annotations

import pytest

from invdpo.curate.annotators.detector.boxes import Detection
from invdpo.curate.annotators.detector.relations import (
    MAX_OVERLAP,
    NEAR,
    RelationDetector,
    direction,
    near,
    overlap,
)
from invdpo.curate.scene_graphs.vocabulary import read_vocabulary
from invdpo.schemas import SceneGraph
from invdpo.schemas.graph import Box

SQUARE = (512, 512)
HERE: Box = (0.4, 0.4, 0.6, 0.6)


def moved(right: float, down: float, box: Box = HERE) -> Box:
    return box[0] + right, box[1] + down, box[2] + right, box[3] + down


def test_overlap() -> None:
    assert overlap(HERE, HERE) == pytest.approx(1)
    assert overlap(HERE, moved(0.1, 0)) == pytest.approx(1 / 3)
    assert overlap(HERE, moved(0.2, 0)) == pytest.approx(0)
    assert overlap(HERE, moved(0.3, 0.3)) == 0
    assert overlap((0.5, 0.5, 0.5, 0.5), (0.5, 0.5, 0.5, 0.5)) == 0


@pytest.mark.parametrize(
    ("right", "down", "expected"),
    [
        (0.3, 0.1, "left of"),
        (-0.3, 0.1, "right of"),
        (0.1, 0.3, "above"),
        (0.1, -0.3, "below"),
        (0.3, 0.3, None),  # as far right as down
        (0.1, 0.0, None),  # overlap of a third
        (0.163, 0.0, None),  # 0.037 / 0.363 = 0.102
        (0.165, 0.0, "left of"),  # 0.035 / 0.365 = 0.096
    ],
)
def test_direction(right: float, down: float, expected: str | None) -> None:
    """Where HERE is, seen from a box of its size that lies so far to the right and below."""
    second = moved(right, down)
    assert direction(HERE, second, SQUARE) == expected
    opposite = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
    assert direction(second, HERE, SQUARE) == (opposite[expected] if expected else None)
    assert (overlap(HERE, second) >= MAX_OVERLAP or abs(right) == abs(down)) == (not expected)


def test_direction_counts_pixels_not_fractions() -> None:
    """In an image twice as wide as high, a tenth right is as far as two tenths down."""
    second = moved(0.25, 0.3)
    assert direction(HERE, second, SQUARE) == "above"
    assert direction(HERE, second, (1024, 512)) == "left of"


@pytest.mark.parametrize(
    ("right", "down", "expected"),
    [(0.31, 0.31, True), (0.32, 0.32, False), (0.32, 0.1, True), (0.1, -0.5, True)],
)
def test_near(right: float, down: float, expected: bool) -> None:
    """Less than 150 of 479 pixels, 0.3132, right or down."""
    assert pytest.approx(0.31315, abs=1e-5) == NEAR
    assert near(HERE, moved(right, down), SQUARE) is expected


def detections(*objects: tuple[str, Box]) -> list[Detection]:
    return [Detection(label, box, 0.5) for label, box in objects]


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
def detector() -> RelationDetector:
    return RelationDetector(read_vocabulary().relations)


def relations(
    detector: RelationDetector, asked: SceneGraph, objects: list[Detection]
) -> list[object]:
    return [tuple(relation.values()) for relation in detector.relations(asked, objects, SQUARE)]


def test_what_holds_is_stated_in_the_prompts_words(detector: RelationDetector) -> None:
    objects = detections(("cat", moved(-0.3, 0)), ("dog", HERE))
    assert relations(detector, graph((0, "left of", 1)), objects) == [(0, "left of", 1)]
    assert relations(detector, graph((0, "On the left  of", 1)), objects) == [
        (0, "On the left  of", 1)
    ]
    assert relations(detector, graph((1, "to the right of", 0)), objects) == [
        (1, "to the right of", 0)
    ]


def test_what_holds_instead_is_stated(detector: RelationDetector) -> None:
    objects = detections(("cat", moved(0, -0.3)), ("dog", HERE))
    assert relations(detector, graph((0, "on the left of", 1)), objects) == [(0, "above", 1)]
    assert relations(detector, graph((0, "near", 1)), objects) == [(0, "near", 1)]
    far = detections(("cat", (0, 0, 0.1, 0.1)), ("dog", (0.8, 0.8, 1, 1)))
    assert relations(detector, graph((0, "near", 1)), far) == []


def test_every_two_objects_of_these_labels_are_compared(detector: RelationDetector) -> None:
    objects = detections(("cat", moved(-0.35, 0)), ("dog", HERE), ("cat", moved(0.35, 0)))
    assert relations(detector, graph((0, "left of", 1)), objects) == [
        (0, "left of", 1),
        (2, "right of", 1),
    ]
    assert relations(detector, graph((0, "left of", 2)), objects) == [
        (0, "left of", 2),
        (2, "right of", 0),
    ]


def test_what_boxes_cannot_tell_is_named(detector: RelationDetector) -> None:
    asked = graph((0, "chasing", 1), (0, "behind", 1), (0, "left of", 1), (2, "chasing", 1))
    assert detector.unknown(asked) == ["chasing", "behind"]
    assert relations(detector, asked, detections(("cat", HERE), ("dog", moved(0.2, 0)))) == [
        (0, "left of", 1)
    ]
    assert relations(detector, asked, []) == []
