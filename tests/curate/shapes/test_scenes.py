"""Splits that share no fact, and places that make every relation true."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from invdpo.curate.shapes import layout, scenes, world
from invdpo.curate.shapes.render import render
from invdpo.curate.shapes.splits import Split
from invdpo.schemas import Relation, SceneGraph
from invdpo.schemas.graph import one_way

SPLITS: tuple[Split, ...] = ("train", "validation", "heldout")


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_states_its_own_facts_only(split: Split) -> None:
    rng = np.random.default_rng(1)
    stated = {fact for _ in range(800) for fact in scenes.facts(scenes.sample_graph(rng, split))}
    assert stated
    assert {scenes.split_of(fact) for fact in stated} == {split}


@pytest.mark.parametrize("split", ["validation", "heldout"])
def test_prompts_for_measuring_state_a_relation(split: Split) -> None:
    rng = np.random.default_rng(2)
    graphs = [scenes.sample_graph(rng, split) for _ in range(200)]
    assert all(graph.relations for graph in graphs)
    assert {len(graph.items) for graph in graphs} == {2, 3}


def test_shares_of_the_splits() -> None:
    phrases = [f"{colour} {shape}" for colour, shape in scenes.KINDS]
    splits = [
        scenes.split_of((one, relation, other))
        for one, relation, other in product(phrases, world.OPPOSITE, phrases)
        if one != other
    ]
    shares = {split: splits.count(split) / len(splits) for split in SPLITS}
    assert shares["train"] == pytest.approx(0.75, abs=0.03)
    assert shares["heldout"] == pytest.approx(0.20, abs=0.03)


def test_a_fact_and_its_converse_belong_together() -> None:
    fact = ("red circle", "right of", "blue square")
    assert one_way(fact) == ("blue square", "left of", "red circle")
    assert one_way(one_way(fact)) == one_way(fact)
    assert scenes.split_of(fact) == scenes.split_of(one_way(fact))


def test_the_same_seed_gives_the_same_scenes() -> None:
    def picture(seed: int) -> tuple[SceneGraph, bytes]:
        rng = np.random.default_rng(seed)
        graph = scenes.sample_graph(rng, "heldout")
        return graph, render(scenes.layout(graph, rng), rng).tobytes()

    assert picture(7) == picture(7)
    assert picture(7) != picture(8)


def test_layouts_satisfy_every_relation_and_keep_objects_apart() -> None:
    rng = np.random.default_rng(3)
    for _ in range(400):
        graph = scenes.sample_graph(rng, "train")
        placed = scenes.layout(graph, rng)
        assert scenes.facts(graph) <= scenes.visible(placed)
        for one, other in combinations(placed, 2):
            distance = np.hypot(one.x - other.x, one.y - other.y)
            assert distance > one.radius + other.radius + layout.GAP
        assert all(p.radius < min(p.x, p.y, 1 - p.x, 1 - p.y) for p in placed)


def test_contradicting_relations_are_refused() -> None:
    graph = SceneGraph(
        items=(world.item(0, "red", "circle"), world.item(1, "blue", "star")),
        relations=(
            Relation(item1=0, relation="above", item2=1),
            Relation(item1=1, relation="above", item2=0),
        ),
    )
    with pytest.raises(ValueError, match="No places"):
        scenes.layout(graph, np.random.default_rng(0))


def test_too_many_objects_are_refused() -> None:
    graph = SceneGraph(items=tuple(world.item(n, "red", "circle") for n in range(4)))
    with pytest.raises(ValueError, match="1 to 3"):
        scenes.layout(graph, np.random.default_rng(0))


@pytest.mark.parametrize("size", [32, 64, 96])
def test_pictures_of_any_size(size: int) -> None:
    rng = np.random.default_rng(4)
    picture = render(scenes.layout(scenes.sample_graph(rng, "train"), rng), rng, size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
