"""Splits that share no fact, and positions that make every relation true."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from invdpo.curate.shapes import scenes, world
from invdpo.curate.shapes.held_out import Split, split_of, visible_facts
from invdpo.curate.shapes.layout import GAP, layout
from invdpo.curate.shapes.render import render
from invdpo.schemas import Relation, SceneGraph
from invdpo.schemas.graph import one_way

SPLITS: tuple[Split, ...] = ("train", "validation", "heldout")


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_states_its_own_facts_only(split: Split) -> None:
    rng = np.random.default_rng(1)
    graphs = [scenes.sample_graph(rng, split) for _ in range(800)]
    stated = {fact for graph in graphs for fact in graph.facts()}
    assert stated
    assert {split_of(fact) for fact in stated} == {split}


@pytest.mark.parametrize("split", ["validation", "heldout"])
def test_prompts_for_measuring_state_a_relation(split: Split) -> None:
    rng = np.random.default_rng(2)
    graphs = [scenes.sample_graph(rng, split) for _ in range(200)]
    assert all(graph.relations for graph in graphs)
    assert {len(graph.items) for graph in graphs} == {2, 3}


def test_shares_of_the_splits() -> None:
    phrases = [f"{colour} {shape}" for colour, shape in scenes.KINDS]
    splits = [
        split_of((subject, relation, target))
        for subject, relation, target in product(phrases, world.OPPOSITE, phrases)
        if subject != target
    ]
    shares = {split: splits.count(split) / len(splits) for split in SPLITS}
    assert shares["train"] == pytest.approx(0.75, abs=0.03)
    assert shares["heldout"] == pytest.approx(0.20, abs=0.03)


def test_a_fact_and_its_converse_belong_together() -> None:
    fact = ("red circle", "right of", "blue square")
    assert one_way(fact) == ("blue square", "left of", "red circle")
    assert one_way(one_way(fact)) == one_way(fact)
    assert split_of(fact) == split_of(one_way(fact))


def test_the_same_seed_gives_the_same_scenes() -> None:
    def picture(seed: int) -> tuple[SceneGraph, bytes]:
        rng = np.random.default_rng(seed)
        graph = scenes.sample_graph(rng, "heldout")
        return graph, render(layout(graph, rng), rng).tobytes()

    assert picture(7) == picture(7)
    assert picture(7) != picture(8)


def test_layouts_satisfy_every_relation_and_keep_objects_apart() -> None:
    rng = np.random.default_rng(3)
    for _ in range(400):
        graph = scenes.sample_graph(rng, "train")
        placed = layout(graph, rng)
        assert graph.facts() <= visible_facts(placed)
        for first, second in combinations(placed, 2):
            distance = np.hypot(first.x - second.x, first.y - second.y)
            assert distance > first.radius + second.radius + GAP
        assert all(p.radius < min(p.x, p.y, 1 - p.x, 1 - p.y) for p in placed)


def test_contradicting_relations_are_refused() -> None:
    graph = SceneGraph(
        items=(world.item(0, "red", "circle"), world.item(1, "blue", "star")),
        relations=(
            Relation(item1=0, relation="above", item2=1),
            Relation(item1=1, relation="above", item2=0),
        ),
    )
    with pytest.raises(ValueError, match="No positions"):
        layout(graph, np.random.default_rng(0))


def test_too_many_objects_are_refused() -> None:
    graph = SceneGraph(items=tuple(world.item(n, "red", "circle") for n in range(4)))
    with pytest.raises(ValueError, match="1 to 3"):
        layout(graph, np.random.default_rng(0))


@pytest.mark.parametrize("size", [32, 64, 96])
def test_pictures_of_any_size(size: int) -> None:
    rng = np.random.default_rng(4)
    picture = render(layout(scenes.sample_graph(rng, "train"), rng), rng, size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
