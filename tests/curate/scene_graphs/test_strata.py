"""Strata of scene graphs."""

import json
from typing import Any

import pytest

from invdpo.curate.scene_graphs.strata import strata
from invdpo.curate.shapes import world
from invdpo.schemas.config.pair import STRATA


def graph(*phrases: str, relations: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "items": [
            {"item_id": n, "label": text.split("|")[-1], "attributes": text.split("|")[:-1]}
            for n, text in enumerate(phrases)
        ],
        "relations": [{"item1": 0, "relation": name, "item2": 1} for name in relations],
    }


@pytest.mark.parametrize(
    ("phrases", "name"),
    [
        (("cat",), "none"),
        (("red|cat", "dark blue|dog"), "color"),
        (("round|cat",), "shape"),
        (("wooden|chair", "fluffy|cat"), "texture"),
        (("tiny|cat",), "size"),
        (("three|cat",), "number"),
        (("cat", "cat"), "number"),
        (("red|cat", "red|cat"), "color"),
        (("sleepy|cat",), "other"),
        (("old|man",), "other"),
        (("red|cat", "big|dog"), "mixed"),
    ],
)
def test_attributes(phrases: tuple[str, ...], name: str) -> None:
    assert strata(graph(*phrases))["attribute"] == name


@pytest.mark.parametrize(
    ("relations", "name"),
    [
        ((), "none"),
        (("left of",), "spatial"),
        (("to the right of", "on"), "spatial"),
        (("is next to",), "spatial"),
        (("holding",), "non-spatial"),
        (("riding", "behind"), "mixed"),
    ],
)
def test_relations(relations: tuple[str, ...], name: str) -> None:
    assert strata(graph("a", "b", relations=relations))["relation"] == name


def test_objects_are_counted_up_to_many() -> None:
    counts = [strata(graph(*["cat"] * n))["objects"] for n in range(8)]
    assert counts == ["0", "1", "2", "3", "4", "5+", "5+", "5+"]


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "no json",
        "[]",
        "3",
        '{"items": 3}',
        "{}",
        '{"items": [3]}',
        '{"items": [], "relations": [{}]}',
    ],
)
def test_what_is_no_graph_is_unknown(text: str | None) -> None:
    assert set(strata(text).values()) == {"unknown"}


def test_text_and_what_it_says_are_the_same() -> None:
    found = graph("red|cat", "dog", relations=("on",))
    assert strata(json.dumps(found)) == strata(found)
    laion = found | {"img_id": "1", "caption_ori": "a red cat on a dog"}
    assert strata(laion) == strata(found)


def test_every_word_of_the_embedded_world_is_known() -> None:
    for colour in world.COLOURS:
        assert strata(graph(f"{colour}|circle"))["attribute"] == "color"
    for name in world.OPPOSITE:
        assert strata(graph("a", "b", relations=(name,)))["relation"] == "spatial"


def test_all_names_are_listed() -> None:
    found = [strata(g) for g in (None, graph(), graph("red|cat", "cat", relations=("on",)))]
    for one in found:
        assert all(one[kind] in STRATA[kind] for kind in STRATA)
