"""Scene graphs: LAION-SG records come back as they were, and bad ones are named."""

from __future__ import annotations

import json
from functools import partial
from typing import Any
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invdpo.schemas import DataError, Item, Relation, SceneGraph

TEXT = st.text(max_size=20)
WORD = TEXT.map(partial(normalize, "NFC"))
"""Labels, attributes and relations are kept in the composed form."""
IDS = st.integers(0, 2**40)
UNIT = st.floats(0, 1)
UNKNOWN = st.dictionaries(
    st.text(min_size=1, max_size=8).map("x_".__add__),
    st.none() | st.booleans() | IDS | TEXT | st.lists(TEXT, max_size=2),
    max_size=2,
)


def records(required: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Fixed fields, with some of those that may be missing and some that we do not know."""
    known = st.fixed_dictionaries(required, optional=optional)
    return st.builds(lambda known, unknown: known | unknown, known, UNKNOWN)


ITEMS = records(
    {"item_id": IDS, "label": WORD, "attributes": st.lists(WORD, max_size=3)},
    {"global_item_id": IDS, "box": st.lists(UNIT, min_size=4, max_size=4), "confidence": UNIT},
)
RELATIONS = records(
    {"triple_id": IDS, "item1": IDS, "relation": WORD, "item2": IDS}, {"global_relation_id": IDS}
)
LAION_SG = records(
    {
        "img_id": TEXT,
        "name": TEXT,
        "caption_ori": TEXT,
        "score": TEXT,
        "url": TEXT,
        "items": st.lists(ITEMS, max_size=4),
        "relations": st.lists(RELATIONS, max_size=4),
    },
    {},
)
SMALL: dict[str, Any] = {
    "items": [{"item_id": 0, "label": "circle"}, {"item_id": 1, "label": "square"}],
    "relations": [{"item1": 0, "relation": "left of", "item2": 1}],
}


@given(LAION_SG)
def test_records_of_laion_sg_come_back_unchanged(record: dict[str, Any]) -> None:
    assert SceneGraph.from_dict(record).to_dict() == record


@given(LAION_SG)
def test_so_they_do_as_json(record: dict[str, Any]) -> None:
    text = SceneGraph.from_json(json.dumps(record)).to_json()
    assert json.loads(text) == record
    assert SceneGraph.from_json(text).to_json() == text


def test_json_keeps_letters() -> None:
    assert "卵形 – œuf" in SceneGraph(items=(Item(item_id=0, label="卵形 – œuf"),)).to_json()


def test_fields_that_nobody_gave_stay_away() -> None:
    assert SceneGraph.from_dict(SMALL).to_dict() == SMALL


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"items": [{"item_id": 0}]}, "row 3: items.0.label: Field required."),
        ({"items": [{"item_id": "a", "label": "x"}]}, "row 3: items.0.item_id:"),
        ({"relations": [{"item1": 0, "item2": 1}]}, "row 3: relations.0.relation:"),
        ({"items": [{"item_id": 0, "label": "x", "box": [0, 1]}]}, "row 3: items.0.box"),
        ({"items": [{"item_id": 0, "label": "x", "confidence": float("nan")}]}, "finite"),
        ([], "row 3: the record:"),
    ],
)
def test_bad_record(record: object, told: str) -> None:
    with pytest.raises(DataError) as error:
        SceneGraph.from_dict(record, where="row 3")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_json() -> None:
    with pytest.raises(DataError, match=r"^line 7: the text: Invalid JSON"):
        SceneGraph.from_json('{"items": [', where="line 7")


def test_problems() -> None:
    items = (Item(item_id=1, label="a"), Item(item_id=1, label="b"))
    graph = SceneGraph(items=items, relations=(Relation(item1=1, relation="on", item2=9),))
    assert graph.problems() == [
        "item_id 1 occurs 2 times",
        "relation 'on' names item 9, which does not exist",
    ]
    assert SceneGraph.from_dict(SMALL).problems() == []


def test_triples_and_items() -> None:
    graph = SceneGraph.from_dict(SMALL)
    assert graph.triples() == {("circle", "left of", "square")}
    assert graph.item(1).label == "square"
    assert Item(item_id=0, label="circle", attributes=("big", "red")).phrase == "big red circle"
    with pytest.raises(KeyError):
        graph.item(5)
