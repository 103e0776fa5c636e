"""The annotator `detector`: what becomes of what is seen, and of what the prompt asks."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

from invdpo.curate.annotate import Annotate
from invdpo.curate.annotators.detector import annotator as module
from invdpo.curate.annotators.detector.boxes import DetectionQuery, RawBoxes
from invdpo.curate.candidate import Candidate
from invdpo.curate.scene_graphs.vocabulary import Alternatives, AttributeChoice
from invdpo.curate.score import Score
from invdpo.schemas import ConfigError, ModelError, SceneGraph
from invdpo.schemas.config.annotate import AnnotateConfig
from invdpo.schemas.config.score import ScoreConfig
from tests.curate.annotators.detector.detectors import save_owl

GRAPH = {
    "items": [
        {"item_id": 0, "label": "circle", "attributes": ["red"]},
        {"item_id": 1, "label": "square", "attributes": ["blue", "shy"]},
    ],
    "relations": [
        {"item1": 0, "relation": "to the left of", "item2": 1},
        {"item1": 0, "relation": "chasing", "item2": 1},
    ],
}


def picture(left: str = "red", right: str = "blue") -> Image.Image:
    image = Image.new("RGB", (64, 64), (128, 128, 128))
    draw = ImageDraw.Draw(image)
    draw.ellipse((4, 20, 27, 43), fill=left)
    draw.rectangle((36, 20, 59, 43), fill=right)
    return image


class Staged:
    """Sees a circle on the left and a square on the right, or nothing in a dark picture."""

    asked: Sequence[DetectionQuery] = ()

    def pixels(self, image: Image.Image) -> torch.Tensor:
        return torch.tensor(0.0 if image.getbbox() is None else 1.0)

    def problem(self, query: str) -> str | None:
        return "too strange" if "strange" in query else None

    def look(self, asked: Sequence[DetectionQuery]) -> list[RawBoxes]:
        self.asked = asked
        left, right, double = (0.05, 0.3, 0.43, 0.7), (0.55, 0.3, 0.93, 0.7), (0.04, 0.3, 0.4, 0.7)
        boxes = torch.tensor([left, right, double])
        logits = torch.tensor([[3.0, -5], [-5, 2], [1, -5]])
        return [RawBoxes(boxes, logits if one.pixels > 0 else logits - 10) for one in asked]


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Staged:
    found = Staged()
    monkeypatch.setattr(module, "load", lambda *_: found)
    return found


@pytest.fixture(scope="module")
def owl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_owl(tmp_path_factory.mktemp("owl"))


def config(owl: Path, **more: Any) -> AnnotateConfig:
    return AnnotateConfig(
        device="cpu", detector_model=str(owl), detector_clip_model="embedded", **more
    )


def candidate(image: Image.Image, graph: object = GRAPH) -> Candidate:
    file = io.BytesIO()
    image.save(file, "PNG")
    made = SceneGraph.from_dict(graph).to_json() if graph is not None else None
    return Candidate(
        {
            "candidate_id": "c",
            "status": "ok",
            "image": {"bytes": file.getvalue()},
            "prompt": "x",
            "graph": made,
        }
    )


def annotate(owl: Path, *cases: Candidate, **more: Any) -> list[dict[str, Any]]:
    stage = Annotate("detector", config(owl, **more))
    for case in cases:
        stage.prepare(case)
    return list(stage(cases))


def test_objects_attributes_and_relations(staged: Staged, owl: Path) -> None:
    """Colours are chosen by the bundled CLIP among ours."""
    (row,) = annotate(owl, candidate(picture()))
    graph = SceneGraph.from_json(row["graph"])
    assert graph.to_dict() == {
        "items": [
            {
                "item_id": 0,
                "label": "circle",
                "attributes": ["red"],
                "box": pytest.approx([0.05, 0.3, 0.43, 0.7], abs=1e-6),
                "confidence": pytest.approx(0.952574, abs=1e-6),
            },
            {
                "item_id": 1,
                "label": "square",
                "attributes": ["blue"],
                "box": pytest.approx([0.55, 0.3, 0.93, 0.7], abs=1e-6),
                "confidence": pytest.approx(0.880797, abs=1e-6),
            },
        ],
        "relations": [{"item1": 0, "relation": "to the left of", "item2": 1}],
        "unknown": {"attributes": ["shy"], "relations": ["chasing"]},
    }
    assert staged.asked[0].queries == ("circle", "square")


def test_attributes_are_seen_not_believed(staged: Staged, owl: Path) -> None:
    rows = annotate(owl, candidate(picture("blue", "yellow")), candidate(picture("green", "red")))
    seen = [[i.attributes for i in SceneGraph.from_json(row["graph"]).items] for row in rows]
    assert seen == [[("blue",), ("yellow",)], [("green",), ("red",)]]


def test_finding_nothing_is_an_answer(staged: Staged, owl: Path) -> None:
    """An empty graph, of whose facts `composition` finds none."""
    (row,) = annotate(owl, candidate(Image.new("RGB", (64, 64))))
    assert row["status"] == "ok"
    assert SceneGraph.from_json(row["graph"]).items == ()
    case = {**candidate(picture())._row, "observed_graph": row["graph"]}
    (score,) = Score("composition", ScoreConfig())([Candidate(case)])
    assert (score["status"], score["score"]) == ("ok", 0.0)


def test_what_was_not_judged_does_not_count(staged: Staged, owl: Path) -> None:
    """2 objects, their numbers, the total, 2 colours of which one is right, and the place."""
    (row,) = annotate(owl, candidate(picture("red", "green")))
    case = {**candidate(picture())._row, "observed_graph": row["graph"]}
    (score,) = Score("composition", ScoreConfig())([Candidate(case)])
    assert score["score"] == pytest.approx(7 / 8)
    seen = SceneGraph.from_json(row["graph"])
    assert [*seen.unknown("attributes"), *seen.unknown("relations")] == ["shy", "chasing"]


def test_without_a_graph_there_is_nothing_to_look_for(staged: Staged, owl: Path) -> None:
    rows = annotate(owl, candidate(picture(), None), candidate(picture()))
    assert [row["error"] for row in rows] == ["no intended scene graph", None]


def test_names_that_cannot_be_asked_cost_their_row(staged: Staged, owl: Path) -> None:
    strange = {"items": [{"item_id": 0, "label": "strange"}]}
    rows = annotate(owl, candidate(picture(), strange), candidate(picture()))
    assert [row["error"] for row in rows] == ["object 'strange': too strange", None]


def test_labels_are_put_into_the_query_as_they_are(staged: Staged, owl: Path) -> None:
    label = 'a {label} {0} %s "x"\nкот'
    graph = {"items": [{"item_id": 0, "label": label}, {"item_id": 1, "label": "b"}]}
    annotate(owl, candidate(picture(), graph), detector_query="one {label} here")
    assert staged.asked[0].queries == (f"one {label} here", "one b here")


def test_revision_holds_what_decides(owl: Path) -> None:
    def revision(**more: Any) -> str:
        return Annotate("detector", config(owl, **more)).revision

    assert revision() == revision(detector_threshold=0.1)  # OWLv2's own
    assert (
        len(
            {
                revision(),
                revision(detector_nms=0.4),
                revision(detector_threshold=0.2),
                revision(detector_query="a {label}"),
                revision(detector_attributes=("colour",)),
            }
        )
        == 5
    )


def test_real_detector_through_the_stage(owl: Path) -> None:
    """Whatever random weights see: rows of graphs without problems, whatever the batch."""
    cases = [candidate(picture(), GRAPH), candidate(picture("green"), GRAPH)]
    rows = annotate(owl, *cases, detector_threshold=0.3)
    alone = annotate(owl, candidate(picture("green"), GRAPH), detector_threshold=0.3)
    graphs = [SceneGraph.from_json(row["graph"]) for row in (*rows, *alone)]
    assert not any(graph.problems() for graph in graphs)
    assert len(graphs[1].items) == len(graphs[2].items) > 0
    for one, other in zip(graphs[1].items, graphs[2].items, strict=True):
        assert (one.label, one.attributes) == (other.label, other.attributes)
        assert one.box == pytest.approx(other.box, abs=1e-5)


def test_model_that_is_not_there_is_told(owl: Path) -> None:
    wrong = AnnotateConfig(device="cpu", detector_model="nowhere", detector_clip_model="embedded")
    with pytest.raises(ModelError, match=r"annotate\.detector_model: found 'nowhere'"):
        _ = Annotate("detector", wrong).revision
    with pytest.raises(ModelError, match="Unknown clip_model 'x'"):
        _ = Annotate(
            "detector", config(owl).model_copy(update={"detector_clip_model": "x"})
        ).revision


def test_query_must_hold_a_place_for_the_name() -> None:
    from invdpo.schemas.config.load import load_config

    with pytest.raises(ConfigError, match=r"annotate\.detector_query: found 'a thing'"):
        load_config(None, {"annotate": {"detector_query": "a thing"}})


def test_alternatives_leave_out_what_means_the_same() -> None:
    found = Alternatives(None, ("colour", "shape"))
    graph = SceneGraph.from_dict(
        {
            "items": [
                {"item_id": 0, "label": "car", "attributes": ["Grey", "round", "big", "red"]},
                {"item_id": 1, "label": "dog", "attributes": ["old"]},
            ],
        }
    )
    choices = found.choices(graph)
    colour, shape = choices["car"]
    assert choices.keys() == {"car"}
    assert colour == AttributeChoice("car", ("Grey", "red", *colour.words[2:]))
    assert not {"gray", "grey"} & {*colour.words[2:]}
    assert {"blue", "black"} <= {*colour.words}
    assert "circular" not in shape.words
    assert found.unknown(graph) == ["big", "old"]


def test_alternatives_of_ones_own(tmp_path: Path) -> None:
    from invdpo.curate.scene_graphs.vocabulary import OURS

    path = tmp_path / "words.yaml"
    text = OURS.read_text().replace("  age: [young, old]\n", "  mood: [shy, merry]\n")
    path.write_text(text)
    graph = SceneGraph.from_dict(GRAPH)
    found = Alternatives(str(path), ("mood",)).choices(graph)
    assert found == {"square": [AttributeChoice("square", ("shy", "merry"))]}
