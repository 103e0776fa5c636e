"""Closed-form figures of `composition`, worked out by hand in each test."""

from itertools import permutations

import numpy as np
import pytest

from invdpo.curate.scene_graphs import matching
from invdpo.curate.scene_graphs.matching import facts
from invdpo.curate.scene_graphs.wording import facts_hold
from invdpo.curate.scorers.composition import CompositionScorer, composition, wrong_facts
from invdpo.curate.shapes import scenes, vision
from invdpo.curate.shapes.held_out import Split
from invdpo.curate.shapes.layout import layout
from invdpo.curate.shapes.render import render
from invdpo.schemas import Item, Relation, SceneGraph
from invdpo.schemas.config.score import ScoreConfig

Things = list[tuple[str, str]]
Links = list[tuple[int, str, int]]


def graph(things: Things, links: Links | None = None, first_id: int = 0) -> SceneGraph:
    items = tuple(
        Item(item_id=first_id + n, label=label, attributes=(colour,))
        for n, (colour, label) in enumerate(things)
    )
    relations = tuple(
        Relation(item1=first_id + a, relation=name, item2=first_id + b)
        for a, name, b in links or []
    )
    return SceneGraph(items=items, relations=relations)


RED, BLUE = ("red", "circle"), ("blue", "square")
ASKED = graph([RED, BLUE], [(0, "left of", 1)])


def both(first: int, second: int) -> Links:
    return [(first, "left of", second), (second, "right of", first)]


def test_exactly_right_picture() -> None:
    """2 objects, 2 attributes, 1 relation, 2 label counts, 1 total: 8 of 8 facts.

    The annotator also says "square right of circle": SG-IoU 1/2, predicates 1/2.
    """
    figures = composition(ASKED, graph([BLUE, RED], both(1, 0), first_id=5))
    assert figures == {
        "satisfied": 1.0,
        "entity_iou": 1.0,
        "relation_iou": 0.5,
        "sg_iou": 0.5,
        "attributes": 1.0,
        "counts": 1.0,
        "all_right": 1.0,
    }
    assert composition(ASKED, ASKED)["sg_iou"] == 1.0


def test_wrong_colour_and_wrong_side() -> None:
    """Of 8 facts, one attribute and the relation fail: 6/8; labels still agree."""
    observed = graph([("green", "circle"), BLUE], both(1, 0))
    figures = composition(ASKED, observed)
    assert figures["satisfied"] == 6 / 8
    assert figures["attributes"] == 1 / 2
    assert figures["counts"] == 1.0
    assert figures["entity_iou"] == 1.0
    assert figures["sg_iou"] == 0.0
    assert figures["all_right"] == 0.0
    assert wrong_facts(ASKED, observed) == [
        "circle is green, not red",
        "red circle is not left of blue square",
    ]


@pytest.mark.parametrize(
    ("asked", "said", "holds"),
    [
        ("left of", (1, "right of", 0), True),
        ("right of", (1, "left of", 0), True),
        ("to the left of", (1, "right of", 0), True),
        ("above", (1, "Underneath", 0), True),
        ("hidden by", (1, "in front of", 0), True),
        ("next to", (1, "next to", 0), True),
        ("next to", (0, "beside", 1), True),
        ("left of", (0, "right of", 1), False),
        ("left of", (1, "left of", 0), False),
        ("chasing", (1, "chasing", 0), False),
        ("on", (1, "below", 0), False),
    ],
)
def test_a_relation_counts_from_either_end(
    asked: str, said: tuple[int, str, int], holds: bool
) -> None:
    """SG-IoU stays exact, as it is defined; page, focus and score judge by the same facts."""
    wanted, seen = graph([RED, BLUE], [(0, asked, 1)]), graph([RED, BLUE], [said])
    figures = composition(wanted, seen)
    assert figures["satisfied"] == (1.0 if holds else 7 / 8)
    assert figures["sg_iou"] == 0.0
    assert wrong_facts(wanted, seen) == (
        [] if holds else [f"red circle is not {asked} blue square"]
    )
    assert all(facts_hold(wanted, seen)) == holds


def test_only_tables_that_may_change_are_of_another_revision() -> None:
    found = {
        name: CompositionScorer(ScoreConfig(annotator=name)).revision
        for name in ("shapes", "detector", "vlm", "import", "one_of_a_plugin")
    }
    assert found == dict(zip(found, "11222", strict=True))


def test_missing_object() -> None:
    """The square fails as object, attribute, relation, count and total: 3 of 8 hold."""
    observed = graph([RED])
    figures = composition(ASKED, observed)
    assert figures["satisfied"] == 3 / 8
    assert figures["entity_iou"] == 1 / 2
    assert figures["counts"] == 1 / 3
    assert wrong_facts(ASKED, observed) == ["no blue square"]


def test_empty_picture_satisfies_nothing() -> None:
    figures = composition(ASKED, SceneGraph())
    assert set(figures.values()) == {0.0}


def test_empty_unions_are_zero() -> None:
    """Neither graph has relations: LAION-SG counts 0 over 0 as 0."""
    figures = composition(graph([RED]), graph([RED]))
    assert figures["sg_iou"] == figures["relation_iou"] == 0.0
    assert figures["satisfied"] == figures["all_right"] == 1.0


def test_extra_object_spoils_counts_and_all_right() -> None:
    """A green star more: the total fails, 7 of 8 hold; 2 of 3 labels are common."""
    observed = graph([RED, BLUE, ("green", "star")], both(0, 1))
    figures = composition(ASKED, observed)
    assert figures["satisfied"] == 7 / 8
    assert figures["counts"] == 2 / 3
    assert figures["entity_iou"] == 2 / 3
    assert figures["all_right"] == 0.0
    assert wrong_facts(ASKED, observed) == ["green star not asked for"]


def test_multiplicity() -> None:
    """Two red circles asked, one or three there."""
    asked = graph([RED, RED])
    one, three = graph([RED]), graph([RED, RED, RED])
    assert composition(asked, one)["satisfied"] == 2 / 6
    assert wrong_facts(asked, one) == ["1 circle, asked for 2"]
    assert composition(asked, three)["satisfied"] == 4 / 6
    assert wrong_facts(asked, three) == ["3 circles, asked for 2"]
    assert composition(asked, graph([RED, RED]))["all_right"] == 1.0


def test_assignment_takes_the_partner_that_satisfies_most() -> None:
    """Two circles of which the second, but not the first, is red and stands left."""
    asked = graph([RED, ("blue", "circle")], [(0, "left of", 1)])
    observed = graph([("blue", "circle"), RED], both(1, 0))
    assert composition(asked, observed)["all_right"] == 1.0
    assert facts(asked, observed)[1] == {0: 1, 1: 0}


def test_one_observed_object_serves_one_intended_object() -> None:
    asked = graph([RED, ("blue", "circle")])
    assert wrong_facts(asked, graph([RED])) == ["no blue circle", "1 circle, asked for 2"]


def test_order_of_observed_items_does_not_matter() -> None:
    asked = graph([RED, ("blue", "circle"), ("red", "square")], [(0, "above", 2)])
    things = [("red", "circle"), ("green", "circle"), ("red", "square")]
    links = [(0, "above", 2), (2, "below", 0)]
    observed = graph(things, links)
    expected = composition(asked, observed)
    for order in permutations(observed.items):
        shuffled = SceneGraph(items=order, relations=observed.relations)
        assert composition(asked, shuffled) == expected


def test_many_alike_objects_are_assigned_by_search() -> None:
    """12 circles of 12 colours, in reverse: far more assignments than can be tried."""
    colours = [f"colour{n}" for n in range(12)]
    asked = graph([(c, "circle") for c in colours], [(n, "left of", n + 1) for n in range(11)])
    observed = graph(
        [(c, "circle") for c in reversed(colours)], [(n + 1, "left of", n) for n in range(11)]
    )
    assert composition(asked, observed)["all_right"] == 1.0


def test_search_uses_relations_when_colours_do_not_tell() -> None:
    """9 circles without colour in a row; only relations say which is which."""
    row = [Item(item_id=n, label="circle") for n in range(9)]
    links = tuple(Relation(item1=n, relation="left of", item2=n + 1) for n in range(8))
    asked = SceneGraph(items=tuple(row), relations=links)
    observed = SceneGraph(items=tuple(reversed(row)), relations=links)
    assert composition(asked, observed)["satisfied"] > 0.7
    assert composition(asked, asked)["all_right"] == 1.0


def test_ten_thousand_relations_between_a_hundred_alike_objects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More exchanges than could be tried: the search ends where its effort does."""
    monkeypatch.setattr(matching, "MAX_LOOKUPS", 50_000)
    items = tuple(Item(item_id=n, label="cat") for n in range(100))
    ways = {
        name: [Relation(item1=n % 100, relation=name, item2=n // 100) for n in range(10_000)]
        for name in ("on", "far from")
    }
    asked = SceneGraph(items=items, relations=tuple(ways["on"]))
    assert composition(asked, asked)["all_right"] == 1.0
    half = SceneGraph(items=items, relations=(*ways["on"][:5_000], *ways["far from"][5_000:]))
    figures = composition(asked, half)
    assert figures["satisfied"] == pytest.approx((5_000 + 102) / 10_102)


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_rendered_scenes_are_right(split: Split) -> None:
    """What is drawn from a graph and read back agrees with the graph."""
    rng = np.random.default_rng(3)
    graphs = [scenes.sample_graph(rng, split) for _ in range(20)]
    seen = [vision.observe(render(layout(scene, rng), rng)) for scene in graphs]
    right = [composition(a, b)["all_right"] for a, b in zip(graphs, seen, strict=True)]
    wrong = [wrong_facts(a, b) for a, b in zip(graphs, seen, strict=True)]
    assert [not lines for lines in wrong] == [value == 1 for value in right]
    assert sum(right) >= 19
