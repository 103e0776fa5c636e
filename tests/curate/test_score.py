"""The score stage: one row out for each row in, and a reason for every rejection."""

import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from invdpo.curate.score import Score
from invdpo.curate.scorers import SCORERS, Candidate, Judged, Scorer
from invdpo.schemas import Item, PluginError, SceneGraph
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.tables import SCORES

GRAPH = SceneGraph(items=(Item(item_id=0, label="circle", attributes=("red",)),)).to_json()


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(file, "PNG")
    return file.getvalue()


def row(name: str, **changes: Any) -> Candidate:
    good = {
        "candidate_id": name,
        "prompt": "a red circle",
        "graph": GRAPH,
        "observed_graph": GRAPH,
        "image": {"bytes": png(), "path": None},
        "status": "ok",
        "error": None,
    }
    return Candidate(good | changes)


class Fixed(Scorer):
    """Gives the scores that it was made with; counts its candidates."""

    name = "fixed"
    needs: Sequence[str] = ("image",)
    revision = "7"

    def __init__(self, values: Sequence[float]) -> None:
        self.values = iter(values)
        self.batches: list[int] = []

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
        self.batches.append(len(candidates))
        return [
            Judged(next(self.values)) for candidate in candidates if candidate.image.mode == "RGB"
        ]


@pytest.fixture
def fixed() -> Iterator[Fixed]:
    scorer = Fixed([1.0, math.nan, math.inf, -math.inf, 2.0])
    SCORERS.register("fixed")(lambda config: scorer)
    yield scorer
    del SCORERS._entries["fixed"]


def test_not_finite_scores_are_rejected(fixed: Fixed) -> None:
    rows = [row(str(n)) for n in range(5)]
    out = list(Score("fixed", ScoreConfig(batch_size=2))(rows))
    assert [r["score"] for r in out] == [1.0, None, None, None, 2.0]
    assert [r["status"] for r in out] == ["ok", "rejected", "rejected", "rejected", "ok"]
    assert out[1]["error"] == "the score is nan"
    assert fixed.batches == [2, 2, 1]
    assert {(r["scorer"], r["revision"]) for r in out} == {("fixed", "7")}


def test_undecodable_images_keep_their_row(fixed: Fixed) -> None:
    cut = {"bytes": png()[:-20], "path": None}
    rows = [
        row("0", image=cut),
        row("1"),
        row("2", image={"bytes": b"no image", "path": None}),
        row("3", image=None),
        row("4", image={"bytes": None, "path": None}),
        row("5", status="rejected", error="out of memory"),
    ]
    out = list(Score("fixed", ScoreConfig())(rows))
    assert [r["candidate_id"] for r in out] == list("012345")
    assert [r["score"] for r in out] == [None, 1.0, None, None, None, None]
    assert out[0]["error"].startswith("image can't be decoded: ")
    assert out[2]["error"] == "image can't be decoded: not a known image format"
    assert out[3]["error"] == out[4]["error"] == "image can't be decoded: no bytes"
    assert out[5]["error"] == "candidate rejected: out of memory"


def test_composition_needs_both_graphs() -> None:
    relation = '{"item1":0,"relation":"on","item2":9}'
    dangling = f'{{"items":[{{"item_id":0,"label":"a"}}],"relations":[{relation}]}}'
    rows = [
        row("0", image=None),
        row("1", graph=None),
        row("2", observed_graph=None, observed_error="the image can't be decoded"),
        row("3", observed_graph=None),
        row("4", graph="{}"),
        row("5", graph=dangling),
        row("6", observed_graph="{"),
    ]
    out = list(Score("composition", ScoreConfig())(rows))
    assert out[0]["score"] == 1.0
    assert dict(out[0]["components"])["all_right"] == 1.0
    assert [r["error"] for r in out[1:6]] == [
        "no intended scene graph",
        "annotation rejected: the image can't be decoded",
        "no observed scene graph",
        "the intended scene graph has no items",
        "intended graph: relation 'on' names item 9, which does not exist",
    ]
    assert out[6]["error"].startswith("observed graph: the text: Invalid JSON")


def test_rows_fit_the_schema(fixed: Fixed) -> None:
    out = [
        *Score("fixed", ScoreConfig())([row("0"), row("1")]),
        *Score("composition", ScoreConfig())([row("2"), row("3", graph=None)]),
    ]
    table = pa.Table.from_pylist(out, schema=SCORES)
    assert table.num_rows == 4
    assert table["score"].null_count == 2


def test_unknown_scorer_is_refused_at_once() -> None:
    with pytest.raises(PluginError, match=r"Unknown scorer 'beauty'\. Known: .*clip, composition"):
        Score("beauty", ScoreConfig())


def test_a_scorer_that_fails_on_one_row_costs_that_row(fixed: Fixed) -> None:
    class Picky(Fixed):
        def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
            return [Judged(1 / (candidate.image.width - 5)) for candidate in candidates]

    SCORERS.register("fixed")(lambda config: Picky([]))
    file = io.BytesIO()
    Image.new("RGB", (5, 5)).save(file, "PNG")
    narrow = row("1", image={"bytes": file.getvalue(), "path": None})
    out = list(Score("fixed", ScoreConfig())([row("0"), narrow, row("2")]))
    assert [r["score"] for r in out] == [-1.0, None, -1.0]
    assert out[1]["error"] == "ZeroDivisionError: division by zero"


def test_no_rows_no_output() -> None:
    assert list(Score("composition", ScoreConfig())([])) == []
