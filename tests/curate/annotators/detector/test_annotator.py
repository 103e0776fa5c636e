"""The annotator `detector`: graphs from detections and from the prompt's graph."""

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
from invdpo.curate.checkpoints import open_clip
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


class FakeDetector:
    """Sees a circle on the left and a square on the right, or nothing in a dark image."""

    queries: Sequence[DetectionQuery] = ()

    def pixels(self, image: Image.Image) -> torch.Tensor:
        return torch.tensor(0.0 if image.getbbox() is None else 1.0)

    def problem(self, query: str) -> str | None:
        return "too strange" if "strange" in query else None

    def detect(self, queries: Sequence[DetectionQuery]) -> list[RawBoxes]:
        self.queries = queries
        left, right, double = (0.05, 0.3, 0.43, 0.7), (0.55, 0.3, 0.93, 0.7), (0.04, 0.3, 0.4, 0.7)
        boxes = torch.tensor([left, right, double])
        logits = torch.tensor([[3.0, -5], [-5, 2], [1, -5]])
        return [RawBoxes(boxes, logits if query.pixels > 0 else logits - 10) for query in queries]


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeDetector:
    detector = FakeDetector()
    monkeypatch.setattr(module, "load", lambda *_: detector)
    return detector


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


def annotate(owl: Path, *candidates: Candidate, **more: Any) -> list[dict[str, Any]]:
    stage = Annotate("detector", config(owl, **more))
    for each in candidates:
        stage.prepare(each)
    return list(stage(candidates))


def test_objects_attributes_and_relations(detector: FakeDetector, owl: Path) -> None:
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
    assert detector.queries[0].phrases == ("circle", "square")


def test_attributes_are_seen_not_believed(detector: FakeDetector, owl: Path) -> None:
    rows = annotate(owl, candidate(picture("blue", "yellow")), candidate(picture("green", "red")))
    seen = [[i.attributes for i in SceneGraph.from_json(row["graph"]).items] for row in rows]
    assert seen == [[("blue",), ("yellow",)], [("green",), ("red",)]]


class FakeClip:
    """Knows red, green and blue, by how much of each is in a crop."""

    device = "cpu"

    def pixels(self, image: Image.Image) -> torch.Tensor:
        mean = image.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        return torch.tensor(mean, dtype=torch.float32)

    def images(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels

    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        known = ("red", "green", "blue")
        return torch.tensor([[float(f" {word} " in text) for word in known] for text in texts])


@pytest.mark.parametrize(
    ("left", "seen"), [("red", ("red", "blue")), ("blue", ("blue", "red")), ("lime", None)]
)
def test_two_words_of_one_kind(
    detector: FakeDetector, owl: Path, monkeypatch: pytest.MonkeyPatch, left: str, seen: Any
) -> None:
    """The two nearest of all words, so that each of them can hold; other objects get one."""
    monkeypatch.setattr(open_clip, "load_encoder", lambda *_: FakeClip())
    image = picture(left)
    ImageDraw.Draw(image).ellipse((10, 26, 21, 37), fill="red" if left == "blue" else "blue")
    items = [
        {"item_id": 0, "label": "circle", "attributes": ["red", "blue"]},
        {"item_id": 1, "label": "square", "attributes": ["blue"]},
    ]
    given = candidate(image, {"items": items})
    (row,) = annotate(owl, given)
    circle, square = SceneGraph.from_json(row["graph"]).items
    assert seen in (None, circle.attributes)
    assert (len(circle.attributes), square.attributes) == (2, ("blue",))
    judged = Candidate({**given.row, "observed_graph": row["graph"]})
    (score,) = Score("composition", ScoreConfig())([judged])
    assert (score["score"] == 1) == (seen is not None)


def test_finding_nothing_is_an_answer(detector: FakeDetector, owl: Path) -> None:
    """An empty graph, of whose facts `composition` finds none."""
    (row,) = annotate(owl, candidate(Image.new("RGB", (64, 64))))
    assert row["status"] == "ok"
    assert SceneGraph.from_json(row["graph"]).items == ()
    row_with_graph = {**candidate(picture())._row, "observed_graph": row["graph"]}
    (score,) = Score("composition", ScoreConfig())([Candidate(row_with_graph)])
    assert (score["status"], score["score"]) == ("ok", 0.0)


def test_what_was_not_judged_does_not_count(detector: FakeDetector, owl: Path) -> None:
    """2 objects, their numbers, the total, 2 colours of which one is right, and the place."""
    (row,) = annotate(owl, candidate(picture("red", "green")))
    row_with_graph = {**candidate(picture())._row, "observed_graph": row["graph"]}
    (score,) = Score("composition", ScoreConfig())([Candidate(row_with_graph)])
    assert score["score"] == pytest.approx(7 / 8)
    seen = SceneGraph.from_json(row["graph"])
    assert [*seen.unknown("attributes"), *seen.unknown("relations")] == ["shy", "chasing"]


def test_without_a_graph_there_is_nothing_to_look_for(detector: FakeDetector, owl: Path) -> None:
    rows = annotate(owl, candidate(picture(), None), candidate(picture()))
    assert [row["error"] for row in rows] == ["no intended scene graph", None]


def test_names_that_cannot_be_asked_cost_their_row(detector: FakeDetector, owl: Path) -> None:
    strange = {"items": [{"item_id": 0, "label": "strange"}]}
    rows = annotate(owl, candidate(picture(), strange), candidate(picture()))
    assert [row["error"] for row in rows] == ["object 'strange': too strange", None]


def test_labels_are_put_into_the_query_as_they_are(detector: FakeDetector, owl: Path) -> None:
    label = 'a {label} {0} %s "x"\nкот'
    graph = {"items": [{"item_id": 0, "label": label}, {"item_id": 1, "label": "b"}]}
    annotate(owl, candidate(picture(), graph), detector_query="one {label} here")
    assert detector.queries[0].phrases == (f"one {label} here", "one b here")


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
    candidates = [candidate(picture(), GRAPH), candidate(picture("green"), GRAPH)]
    rows = annotate(owl, *candidates, detector_threshold=0.3)
    alone = annotate(owl, candidate(picture("green"), GRAPH), detector_threshold=0.3)
    graphs = [SceneGraph.from_json(row["graph"]) for row in (*rows, *alone)]
    assert not any(graph.problems() for graph in graphs)
    assert len(graphs[1].items) == len(graphs[2].items) > 0
    for first, second in zip(graphs[1].items, graphs[2].items, strict=True):
        assert (first.label, first.attributes) == (second.label, second.attributes)
        assert first.box == pytest.approx(second.box, abs=1e-5)


def test_a_missing_model_is_reported(owl: Path) -> None:
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
    alternatives = Alternatives(None, ("colour", "shape"))
    graph = SceneGraph.from_dict(
        {
            "items": [
                {"item_id": 0, "label": "car", "attributes": ["Grey", "round", "big", "red"]},
                {"item_id": 1, "label": "dog", "attributes": ["old"]},
            ],
        }
    )
    choices = alternatives.choices(graph)
    colour, shape = choices["car"]
    assert choices.keys() == {"car"}
    assert colour == AttributeChoice("car", ("Grey", "red", *colour.words[2:]), take=2)
    assert not {"gray", "grey"} & {*colour.words[2:]}
    assert {"blue", "black"} <= {*colour.words}
    assert "circular" not in shape.words
    assert alternatives.unknown(graph) == ["big", "old"]


def test_alternatives_of_ones_own(tmp_path: Path) -> None:
    from invdpo.curate.scene_graphs.vocabulary import OURS

    path = tmp_path / "words.yaml"
    text = OURS.read_text().replace("  age: [young, old]\n", "  mood: [shy, merry]\n")
    path.write_text(text)
    graph = SceneGraph.from_dict(GRAPH)
    choices = Alternatives(str(path), ("mood",)).choices(graph)
    assert choices == {"square": [AttributeChoice("square", ("shy", "merry"))]}
