"""The language of the embedded world, in both directions."""

from __future__ import annotations

import numpy as np
import pytest

from invdpo.curate.shapes import world
from invdpo.curate.shapes.scenes import sample_graph
from invdpo.schemas import Relation, SceneGraph


@pytest.mark.parametrize(
    "prompt",
    [
        "a red circle",
        "two red circles",
        "three green stars",
        "a red circle and two blue squares",
        "a red circle to the left of a blue square",
        "a green star above a red square",
        "a red circle above a blue square and a green triangle to the left of the blue square",
        "a red circle below a blue square and two cyan stars",
    ],
)
def test_a_prompt_comes_back_as_it_was(prompt: str) -> None:
    graph = world.parse(prompt)
    assert graph is not None
    assert not graph.problems()
    assert world.caption(graph) == prompt


def test_every_sampled_graph_comes_back_as_it_was() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        graph = sample_graph(rng, "train")
        back = world.parse(world.caption(graph))
        assert back is not None
        assert world.caption(back) == world.caption(graph)
        assert back.triples() == graph.triples()
        assert sorted(i.phrase for i in back.items) == sorted(i.phrase for i in graph.items)


def test_counts_make_several_items() -> None:
    graph = world.parse("three green stars")
    assert graph is not None
    assert [item.phrase for item in graph.items] == ["green star"] * 3
    assert [item.item_id for item in graph.items] == [0, 1, 2]


def test_case_and_a_full_stop_do_not_matter() -> None:
    assert world.parse("A red circle above a blue star.") == world.parse(
        "a red circle above a blue star"
    )


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a photo of a cat",
        "a red dog",
        "two red circle",
        "a red circles",
        "a red circle above",
        "the red circle above a blue square",
        "two red circles above a blue square",
        "a red circle near a blue square",
    ],
)
def test_other_languages_are_not_understood(prompt: str) -> None:
    assert world.parse(prompt) is None


def test_a_relation_to_one_of_two_twins_has_no_caption() -> None:
    items = tuple(world.item(n, "red", "circle") for n in range(2))
    graph = SceneGraph(items=items, relations=(Relation(item1=0, relation="above", item2=1),))
    with pytest.raises(ValueError, match="red circle"):
        world.caption(graph)


def test_a_number_without_a_word_has_no_caption() -> None:
    graph = SceneGraph(items=tuple(world.item(n, "red", "circle") for n in range(4)))
    with pytest.raises(ValueError, match="no word for 4"):
        world.caption(graph)


def test_opposites_are_mutual() -> None:
    assert all(world.OPPOSITE[world.OPPOSITE[name]] == name for name in world.OPPOSITE)
    assert set(world.PHRASES) == set(world.OPPOSITE)
