"""`detector`: looks for the objects of the prompt's graph, by a zero-shot detector of transformers.

The detector gives objects and their numbers; open_clip chooses attributes among the alternatives of
their kind; relations follow from the boxes. What none of these can decide (activities, depth,
attributes of other kinds) is left out, and listed under `unknown` of the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from invdpo.curate.annotators.base import ANNOTATORS, Annotator
from invdpo.curate.annotators.detector.attributes import AttributeClassifier
from invdpo.curate.annotators.detector.boxes import Detection, DetectionQuery, Detector, detections
from invdpo.curate.annotators.detector.load import THRESHOLDS, kind_of, load
from invdpo.curate.annotators.detector.relations import RelationDetector
from invdpo.curate.batching import Failure
from invdpo.curate.candidate import GRAPH, IMAGE, Candidate
from invdpo.curate.checkpoints.load_once import LoadOnce
from invdpo.curate.checkpoints.model_files import ModelFiles, clip_files, transformers_files
from invdpo.curate.checkpoints.weights import Weights, find_weights
from invdpo.curate.devices import torch_device
from invdpo.curate.scene_graphs.vocabulary import Alternatives
from invdpo.schemas import SceneGraph
from invdpo.schemas.config.annotate import AnnotateConfig
from invdpo.schemas.ids import content_id

if TYPE_CHECKING:
    import torch

RULES_REVISION = 2
"""Raised whenever the same boxes would give another graph."""
LABEL = "{label}"


@ANNOTATORS.register("detector")
class DetectorAnnotator(Annotator):
    """The graph is empty if nothing is detected. Raises `ModelError` if a model can't load."""

    name = "detector"
    needs: Sequence[str] = (IMAGE, GRAPH)

    def __init__(self, config: AnnotateConfig) -> None:
        self._config = config
        self._alternatives = Alternatives(config.alternatives, config.detector_attributes)
        self._relations = RelationDetector(self._alternatives.words.relations)
        self._classifier = AttributeClassifier(config)
        self._detector = LoadOnce(self._load)

    def _load(self) -> Detector:
        return load(self._weights, torch_device(self._config.device))

    @cached_property
    def revision(self) -> str:
        """Both models with their revisions, thresholds, and the words."""
        words = self._alternatives.words
        rest = content_id(
            RULES_REVISION,
            self._threshold,
            self._config.detector_nms,
            self._config.detector_query,
            self._config.detector_attributes,
            words.model_dump(mode="json", include={"attributes", "synonyms", "relations"}),
        )
        return f"{self._weights.identifier} {self._classifier.source.revision()} {rest[:8]}"

    @cached_property
    def _weights(self) -> Weights:
        return find_weights(self._config.detector_model, "annotate.detector_model")

    def model_files(self) -> list[ModelFiles]:
        """The detector, and the CLIP that classifies attributes."""
        return [transformers_files(self._weights), clip_files(self._classifier.source)]

    @cached_property
    def _threshold(self) -> float:
        threshold = self._config.detector_threshold
        return THRESHOLDS[kind_of(self._weights)] if threshold is None else threshold

    def prepare(self, candidate: Candidate) -> torch.Tensor:
        """The image as the model takes it."""
        return self._detector().pixels(candidate.image)

    def __call__(self, candidates: Sequence[Candidate]) -> list[SceneGraph | Failure]:
        """One graph a candidate; none if the detector can't look for one of its labels."""
        failures = [self._failure(candidate) for candidate in candidates]
        pairs = zip(candidates, failures, strict=True)
        accepted = [candidate for candidate, failure in pairs if failure is None]
        graphs = iter(self._graphs(accepted) if accepted else ())
        return [next(graphs) if failure is None else failure for failure in failures]

    def _failure(self, candidate: Candidate) -> Failure | None:
        for label in _labels(candidate.graph):
            if problem := self._detector().problem(self._phrase(label)):
                return Failure(f"object {label[:40]!r}: {problem}")
        return None

    def _phrase(self, label: str) -> str:
        """What to look for; the label is inserted unchanged, whatever characters it holds."""
        return self._config.detector_query.replace(LABEL, label)

    def _graphs(self, candidates: Sequence[Candidate]) -> Iterator[SceneGraph]:
        queries = [
            DetectionQuery(
                pixels, candidate.image.size, tuple(map(self._phrase, _labels(candidate.graph)))
            )
            for candidate, pixels in zip(candidates, self.take_prepared(candidates), strict=True)
        ]
        for candidate, raw in zip(candidates, self._detector().detect(queries), strict=True):
            labels = _labels(candidate.graph)
            kept = detections(raw, labels, self._threshold, self._config.detector_nms)
            yield self._graph(candidate, kept)

    def _graph(self, candidate: Candidate, objects: Sequence[Detection]) -> SceneGraph:
        intended, size = candidate.graph, candidate.image.size
        record: dict[str, Any] = {
            "items": self._items(candidate, objects),
            "relations": list(self._relations.relations(intended, objects, size)),
        }
        unknown = {
            "attributes": self._alternatives.unknown(intended),
            "relations": self._relations.unknown(intended),
        }
        if any(unknown.values()):
            record["unknown"] = {kind: words for kind, words in unknown.items() if words}
        return SceneGraph.from_dict(record)

    def _items(self, candidate: Candidate, objects: Sequence[Detection]) -> list[dict[str, Any]]:
        by_label = self._alternatives.choices(candidate.graph)
        choices = [(n, c) for n, item in enumerate(objects) for c in by_label.get(item.label, [])]
        boxes = [(objects[n].box, choice) for n, choice in choices]
        attributes: dict[int, list[str]] = {n: [] for n in range(len(objects))}
        chosen = self._classifier.choose(candidate.image, boxes)
        for (n, _), words in zip(choices, chosen, strict=True):
            attributes[n] += words
        return [
            {
                "item_id": n,
                "label": item.label,
                "attributes": attributes[n],
                "box": item.box,
                "confidence": item.confidence,
            }
            for n, item in enumerate(objects)
        ]


def _labels(graph: SceneGraph) -> list[str]:
    """The distinct labels of a graph's objects."""
    return list(dict.fromkeys(item.label for item in graph.items))
