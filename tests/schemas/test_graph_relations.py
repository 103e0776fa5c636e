"""Relations told one way round."""

import pytest

from invdpo.curate.scene_graphs.vocabulary import read_vocabulary
from invdpo.curate.shapes import world
from invdpo.schemas import Item, Relation, SceneGraph
from invdpo.schemas.graph import CONVERSE, one_way


@pytest.mark.parametrize("relation", CONVERSE)
def test_both_ways_round_are_one_fact(relation: str) -> None:
    fact, turned = ("a", relation, "b"), ("b", CONVERSE[relation], "a")
    assert one_way(fact) == one_way(turned) == one_way(one_way(fact))


def test_others_stay_as_they_are() -> None:
    assert one_way(("b", "on", "a")) == ("b", "on", "a")
    assert one_way(("b", "holding", "a")) == ("b", "holding", "a")


def test_every_converse_is_a_word_that_prompts_are_written_with() -> None:
    known = {*read_vocabulary().relations, *world.OPPOSITE}
    assert {*CONVERSE, *CONVERSE.values()} <= known
    assert all(one_way(("a", r, "b")) == one_way(("b", o, "a")) for r, o in world.OPPOSITE.items())


def test_facts_depend_neither_on_direction_nor_on_the_order_of_attributes() -> None:
    cat = Item(item_id=7, label="cat", attributes=("red", "big"))
    dog = Item(item_id=3, label="dog")
    right = SceneGraph(
        items=(dog, cat), relations=(Relation(item1=3, relation="right of", item2=7),)
    )
    assert right.phrases() == {7: "big red cat", 3: "dog"}
    assert right.facts() == {("big red cat", "left of", "dog")}
    turned = cat.model_copy(update={"attributes": ("big", "red")})
    left = Relation(item1=7, relation="left of", item2=3)
    assert SceneGraph(items=(turned, dog), relations=(left, left)).facts() == right.facts()
    assert SceneGraph(items=(cat, dog)).facts() == set()
    with pytest.raises(KeyError):
        SceneGraph(items=(dog,), relations=(left,)).facts()
