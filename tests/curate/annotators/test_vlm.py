"""The annotator `vlm` and the parser `vlm`, against a real server on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from invdpo.curate.annotate import Annotate
from invdpo.curate.candidate import Candidate
from invdpo.curate.clients.graph_schema import (
    MAX_ITEMS,
    MAX_RELATIONS,
    AllowedWords,
    graph_schema,
    read_graph,
)
from invdpo.curate.clients.questions import UnusableAnswerError
from invdpo.curate.images import encode
from invdpo.schemas import SceneGraph
from invdpo.schemas.config.annotate import AnnotateConfig
from tests.curate.clients.server import (
    Answer,
    graph_reply,
    question_id,
    question_text,
    reply,
    serving,
)

GRAPH = {
    "items": [
        {"item_id": 0, "label": "Cat", "attributes": ["grey", "shy"]},
        {"item_id": 1, "label": 'a "{dog}"\n%s', "attributes": []},
    ],
    "relations": [
        {"item1": 0, "relation": "to the left of", "item2": 1},
        {"item1": 1, "relation": "chasing", "item2": 0},
    ],
}
SPOT = {"items": [{"item_id": 0, "label": "Cat", "attributes": ["black"]}], "relations": []}


def candidate(shade: int, graph: object = GRAPH) -> Candidate:
    data = encode(np.full((8, 8, 3), shade, dtype=np.uint8))
    made = SceneGraph.from_dict(graph).to_json() if graph is not None else None
    return Candidate(
        {
            "candidate_id": str(shade),
            "status": "ok",
            "image": {"bytes": data},
            "prompt": "x",
            "graph": made,
        }
    )


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., Annotate]:
    def make(url: str, **more: Any) -> Annotate:
        given = {"vlm_model": "m", "vlm_cache": str(tmp_path), "vlm_concurrency": 1}
        return Annotate("vlm", AnnotateConfig(vlm_url=url, **{**given, **more}))

    return make


def test_graphs_come_over_the_wire(stage: Callable[..., Annotate]) -> None:
    def behave(request: dict[str, Any], n: int) -> Answer:
        cats = [{"item_id": k, "label": "cat", "attributes": ["Black"]} for k in range(n + 1)]
        return reply(graph_reply(request, items=cats))

    with serving(behave) as server:
        made = stage(server.url)
        rows = list(made([candidate(1), candidate(2)]))
    graphs = [json.loads(row["graph"]) for row in rows]
    assert [len(graph["items"]) for graph in graphs] == [1, 2]
    assert graphs[0] == SPOT
    assert all(row["revision"].startswith("m closed ") for row in rows)
    assert made.counts() == {"questions": 2, "tokens in": 200, "tokens out": 20}


def test_closed_vocabulary_names_the_words_and_no_more(stage: Callable[..., Annotate]) -> None:
    with serving(lambda request, _: reply(graph_reply(request, "Cat"))) as server:
        list(stage(server.url)([candidate(1)]))
    (request,) = server.requests
    lists = json.loads(question_text(request).partition("instructions: ")[2])
    assert lists["labels"] == ["Cat", 'a "{dog}"\n%s']
    assert {"grey", "black", "red", "shy"} <= {*lists["attributes"]}
    assert not {"gray", "wooden", "big"} & {*lists["attributes"]}
    assert {"to the left of", "right of", "behind", "chasing", "holding"} <= {*lists["relations"]}
    assert "left of" not in lists["relations"]
    items = request["response_format"]["json_schema"]["schema"]["properties"]["items"]
    assert items["items"]["properties"]["label"]["enum"] == lists["labels"]


def test_open_vocabulary_needs_no_graph_and_sends_none(stage: Callable[..., Annotate]) -> None:
    with serving(lambda request, _: reply(graph_reply(request, "giraffe"))) as server:
        (row,) = stage(server.url, vlm_vocabulary="open")([candidate(1)])
        list(stage(server.url, vlm_vocabulary="open")([candidate(2, None)]))
        (closed,) = stage(server.url)([candidate(1, None)])
    assert json.loads(row["graph"])["items"][0]["label"] == "giraffe"
    assert closed["error"] == "no intended scene graph"
    assert len(server.requests) == 2
    assert "chasing" not in json.dumps(server.requests)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"id": "another"}, "about something else"),
        ({"items": None}, "it has no list `items`"),
        ({"items": [{"label": "Cat"}]}, "scene graph: items.0.item_id: Field required"),
        (
            {"items": [{"item_id": 0, "label": "Cat", "attributes": ["\ud800"]}]},
            "is not one of the attributes",
        ),
        ({"items": [{"item_id": 0, "label": "fox"}]}, "'fox' is not one of the labels"),
        ({"items": [*SPOT["items"], *SPOT["items"]]}, "item_id 0 occurs 2 times"),
        ({"relations": [{"item1": 0, "relation": "chasing", "item2": 9}]}, "names item 9"),
        (
            {"relations": [{"item1": 0, "relation": "chasing", "item2": 0}] * 10_000},
            "10,000 relations, and at most 1,000 are taken",
        ),
    ],
)
def test_wrong_graphs_are_mended_once_then_rejected(
    stage: Callable[..., Annotate], wrong: dict[str, Any], problem: str
) -> None:
    def mends(request: dict[str, Any], n: int) -> Answer:
        return reply(graph_reply(request, "Cat", **(wrong if n == 0 else {})))

    with serving(mends) as server:
        (row,) = stage(server.url)([candidate(1)])
        assert row["status"] == "ok"
        assert problem in server.requests[1]["messages"][3]["content"]
    with serving(lambda request, _: reply(graph_reply(request, "Cat", **wrong))) as server:
        (row,) = stage(server.url)([candidate(2)])
        assert (row["status"], row["graph"]) == ("rejected", None)
        assert row["error"].startswith("no usable answer, twice: ")
        assert problem in row["error"]
        assert len(server.requests) == 2


def test_an_answer_for_another_picture_is_recognised_by_its_id(
    stage: Callable[..., Annotate],
) -> None:
    """The server mixes two images up, then answers rightly."""
    names: list[str] = []

    def mixes(request: dict[str, Any], n: int) -> Answer:
        names.append(question_id(request))
        return reply(graph_reply(request, "Cat", id=names[0] if n == 1 else names[n]))

    with serving(mixes) as server:
        rows = list(stage(server.url)([candidate(1), candidate(2)]))
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert len(server.requests) == 3
    assert names[0] != names[1]


def test_nothing_in_the_picture_is_an_answer(stage: Callable[..., Annotate]) -> None:
    with serving(lambda request, _: reply(graph_reply(request))) as server:
        (row,) = stage(server.url)([candidate(1)])
    assert (row["status"], json.loads(row["graph"])) == ("ok", {"items": [], "relations": []})


def test_revision_holds_what_decides_and_asks_nobody(stage: Callable[..., Annotate]) -> None:
    def revision(**more: Any) -> str:
        return stage("http://127.0.0.1:1/v1", **more).revision

    assert revision() == revision(vlm_concurrency=3, vlm_cache=None)
    assert (
        len(
            {
                revision(),
                revision(vlm_model="n"),
                revision(vlm_vocabulary="open"),
                revision(vlm_temperature=None),
                revision(vlm_max_tokens=9),
            }
        )
        == 5
    )


WORDS = AllowedWords(("cat",), ("red",), ("near",))


def test_every_field_of_the_schema_is_required_and_closed() -> None:
    def check(part: Any) -> None:
        if part.get("type") == "object":
            assert part["required"] == list(part["properties"])
            assert part["additionalProperties"] is False
            for inner in part["properties"].values():
                check(inner)
        if part.get("type") == "array":
            check(part["items"])

    check(graph_schema(WORDS))
    check(graph_schema(None))
    link = graph_schema(AllowedWords(("cat",), (), ()))["properties"]["relations"]["items"]
    assert link["properties"]["relation"] == {"type": "string"}


def test_half_a_character_is_a_problem() -> None:
    item = {"item_id": 0, "label": "\ud800", "attributes": []}
    with pytest.raises(UnusableAnswerError, match="lone surrogate"):
        read_graph({"id": "x", "items": [item], "relations": []}, "x", None)


def test_what_was_not_asked_for_is_left_out() -> None:
    item = {"item_id": 0, "label": "cat", "attributes": [], "mood": "shy", "box": "no"}
    graph = read_graph({"id": "x", "items": [item], "relations": [], "more": 1}, "x", None)
    assert graph.to_dict() == {
        "items": [{"item_id": 0, "label": "cat", "attributes": []}],
        "relations": [],
    }


@pytest.mark.parametrize(
    "answer", [[], "x", None, 3, {"id": "x"}, {"id": "x", "items": [3], "relations": []}]
)
def test_what_is_no_graph_is_a_problem(answer: Any) -> None:
    for words in (None, WORDS):
        with pytest.raises(UnusableAnswerError):
            read_graph(answer, "x", words)


def test_limits_are_taken() -> None:
    items = [{"item_id": n, "label": "cat", "attributes": []} for n in range(MAX_ITEMS)]
    links = [{"item1": 0, "relation": "near", "item2": 1}] * MAX_RELATIONS
    graph = read_graph({"id": "x", "items": items, "relations": links}, "x", WORDS)
    assert (len(graph.items), len(graph.relations)) == (MAX_ITEMS, MAX_RELATIONS)
    more = [*items, {"item_id": MAX_ITEMS, "label": "cat"}]
    with pytest.raises(UnusableAnswerError, match="101 items, and at most 100"):
        read_graph({"id": "x", "items": more, "relations": links}, "x", WORDS)
