"""Which boxes tell a right image from a wrong one."""

from __future__ import annotations

import pytest

from invdpo.curate.scene_graphs.focus import focus_boxes
from invdpo.schemas.graph import Box, Item, Relation, SceneGraph

LEFT, RIGHT, LOW = (0.0, 0.0, 0.4, 0.5), (0.6, 0.0, 1.0, 0.5), (0.2, 0.6, 0.8, 1.0)


def graph(*things: tuple[str, Box | None], left_of: tuple[int, int] | None = None) -> SceneGraph:
    """Things such as `red circle`; perhaps one stands left of another."""
    items = tuple(
        Item(item_id=n, label=words.split()[-1], attributes=tuple(words.split()[:-1]), box=box)
        for n, (words, box) in enumerate(things)
    )
    relations = (
        (Relation(item1=left_of[0], relation="left of", item2=left_of[1]),) if left_of else ()
    )
    return SceneGraph(items=items, relations=relations)


ASKED = graph(("red circle", None), ("blue square", None), left_of=(0, 1))
RIGHT_ONE = graph(("red circle", LEFT), ("blue square", RIGHT), left_of=(0, 1))


@pytest.mark.parametrize(
    ("rejected", "right", "wrong"),
    [
        (graph(("green circle", LOW), ("blue square", RIGHT), left_of=(0, 1)), (LEFT,), (LOW,)),
        (graph(("blue square", RIGHT)), (LEFT,), ()),
        (graph(("blue square", RIGHT), ("red star", LOW)), (LEFT,), (LOW,)),
        (graph(("red circle", RIGHT), ("blue square", LEFT)), (LEFT, RIGHT), (RIGHT, LEFT)),
        (graph(), (LEFT, RIGHT), ()),
        (RIGHT_ONE, (), ()),
    ],
    ids=["other colour", "missing", "another stands for it", "other places", "empty", "the same"],
)
def test_objects_right_here_and_wrong_there(
    rejected: SceneGraph, right: tuple[Box, ...], wrong: tuple[Box, ...]
) -> None:
    assert focus_boxes(ASKED, RIGHT_ONE, rejected) == (right, wrong)


def test_what_is_wrong_in_both_pictures_or_has_no_box_does_not_count() -> None:
    chosen = graph(("green circle", LEFT), ("blue square", None), left_of=(0, 1))
    rejected = graph(("green circle", LOW), ("red square", RIGHT), left_of=(0, 1))
    assert focus_boxes(ASKED, chosen, rejected) == ((), (RIGHT,))


def test_what_the_annotator_cannot_recognise_is_not_wrong() -> None:
    asked = graph(("shiny circle", None))
    seen = SceneGraph.model_validate(
        graph(("circle", LEFT)).to_dict() | {"unknown": {"attributes": ["shiny"]}}
    )
    assert focus_boxes(asked, seen, graph(("circle", LOW))) == ((LEFT,), (LOW,))
    assert focus_boxes(asked, seen, seen) == ((), ())
