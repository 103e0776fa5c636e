"""The annotate stage: one row a candidate, whatever the candidate is."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from invdpo.curate.annotate import Annotate
from invdpo.curate.annotators import ANNOTATORS, Annotator
from invdpo.curate.candidate import Candidate
from invdpo.curate.images import encode
from invdpo.curate.shapes import world
from invdpo.curate.shapes.layout import layout
from invdpo.curate.shapes.render import render
from invdpo.schemas import PluginError, SceneGraph
from invdpo.schemas.config.annotate import AnnotateConfig

CONFIG = AnnotateConfig()


def candidate(name: str, data: bytes | None, **others: Any) -> Candidate:
    row = {"candidate_id": name, "image": {"bytes": data, "path": None}, "status": "ok"}
    return Candidate(row | others)


def picture() -> bytes:
    rng = np.random.default_rng(0)
    graph = world.parse("a red circle to the left of a blue square")
    assert graph is not None
    return encode(render(layout(graph, rng), rng))


def test_every_candidate_has_its_row() -> None:
    rejected = candidate("d", None, status="rejected", error="a reason")
    rows = list(
        Annotate("shapes", CONFIG)(
            [candidate("a", picture()), candidate("b", b"junk"), candidate("c", None), rejected]
        )
    )
    assert [row["candidate_id"] for row in rows] == list("abcd")
    assert [row["status"] for row in rows] == ["ok", "rejected", "rejected", "rejected"]
    seen = json.loads(rows[0]["graph"])
    assert {(i["label"], i["attributes"][0]) for i in seen["items"]} == {
        ("circle", "red"),
        ("square", "blue"),
    }
    assert rows[1]["error"] == "image can't be decoded: not a known image format"
    assert rows[3]["error"] == "candidate rejected: a reason"


class Moody(Annotator):
    """Fails on images that are 1 pixel wide."""

    name, revision = "moody", "1"
    needs: Sequence[str] = ("image",)

    def __init__(self, config: AnnotateConfig) -> None: ...

    def __call__(self, candidates: Sequence[Candidate]) -> list[SceneGraph]:
        if any(candidate.image.width == 1 for candidate in candidates):
            raise ValueError("too thin")
        return [SceneGraph() for _ in candidates]


def test_failing_annotator_costs_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANNOTATORS._entries, "moody", Moody)
    thin, wide = (encode(np.zeros((4, width, 3), dtype=np.uint8)) for width in (1, 4))
    rows = list(Annotate("moody", CONFIG)([candidate("a", wide), candidate("b", thin)]))
    assert [row["error"] for row in rows] == [None, "ValueError: too thin"]


def test_preparing_and_counting_are_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Moody` has neither, and its stage has both."""
    monkeypatch.setitem(ANNOTATORS._entries, "moody", Moody)
    stage = Annotate("moody", CONFIG)
    wide = candidate("a", encode(np.zeros((4, 4, 3), dtype=np.uint8)))
    stage.prepare(wide)
    assert [row["status"] for row in stage([wide])] == ["ok"]
    assert stage.counts() == {}


def test_unknown_annotator() -> None:
    with pytest.raises(PluginError, match=r"Unknown annotator 'yolo'. Known: detector, import"):
        Annotate("yolo", CONFIG)
