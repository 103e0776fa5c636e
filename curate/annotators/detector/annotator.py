"""`detector`: looks for what the prompt names, by a zero-shot detector of transformers.

Objects and their numbers are what it finds; attributes are chosen by open_clip among the
alternatives of their kind; relations follow from the boxes. What none of them can tell (activities,
depth, attributes of other kinds) is left out, and named under `unknown` of the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

from invdpo.curate.annotators.base import ANNOTATORS
from invdpo.curate.annotators.detector.attributes import AttributeClassifier
from invdpo.curate.annotators.detector.boxes import Detection, DetectionQuery, Detector, detections
from invdpo.curate.annotators.detector.load import THRESHOLDS, kind_of, load
from invdpo.curate.annotators.detector.relations import Predicates
from invdpo.curate.batching import Failure
from invdpo.curate.candidate import GRAPH, IMAGE, Candidate
from invdpo.curate.checkpoints.weights import Weights, find_weights
from invdpo.curate.devices import torch_device
from invdpo.curate.scene_graphs.vocabulary import Alternatives
from invdpo.schemas import SceneGraph
from invdpo.schemas.config.annotate import AnnotateConfig
from invdpo.schemas.ids import content_id

if TYPE_CHECKING:
    import torch

RULES_REVISION = 1
"""Raised whenever the same boxes would give another graph."""
LABEL = "{label}"


@ANNOTATORS.register("detector")
class DetectorAnnotator:
    """Nothing found is an empty graph. Raises `ModelError` when a model can't be loaded."""

    name = "detector"
    needs: Sequence[str] = (IMAGE, GRAPH)

    def __init__(self, config: AnnotateConfig) -> None:
        self._config = config
        self._alternatives = Alternatives(config.alternatives, config.detector_attributes)
        self._predicates = Predicates(self._alternatives.words.relations)
        self._classifier = AttributeClassifier(config)
        self._lock = Lock()
        self._loaded: Detector | None = None

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

    @cached_property
    def _threshold(self) -> float:
        given = self._config.detector_threshold
        return THRESHOLDS[kind_of(self._weights)] if given is None else given

    @property
    def _detector(self) -> Detector:
        """The model, loaded once whichever thread asks first."""
        with self._lock:
            if self._loaded is None:
                self._loaded = load(self._weights, torch_device(self._config.device))
            return self._loaded

    def prepare(self, candidate: Candidate) -> torch.Tensor:
        """The picture as the model takes it."""
        return self._detector.pixels(candidate.image)

    def __call__(self, candidates: Sequence[Candidate]) -> list[SceneGraph | Failure]:
        """One graph a case; no graph where the detector can't be asked for a name."""
        graphs: list[SceneGraph | Failure | None] = [
            self._refused(candidate) for candidate in candidates
        ]
        fit = [
            candidate
            for candidate, failure in zip(candidates, graphs, strict=True)
            if failure is None
        ]
        seen = iter(self._graphs(fit)) if fit else iter(())
        return [next(seen) if failure is None else failure for failure in graphs]

    def _refused(self, candidate: Candidate) -> Failure | None:
        for label in _labels(candidate.graph):
            if problem := self._detector.problem(self._query(label)):
                return Failure(f"object {label[:40]!r}: {problem}")
        return None

    def _query(self, label: str) -> str:
        """Put in as it is, whatever stands in it."""
        return self._config.detector_query.replace(LABEL, label)

    def _graphs(self, candidates: Sequence[Candidate]) -> Iterator[SceneGraph]:
        asked = [self._asked(candidate) for candidate in candidates]
        for candidate, raw in zip(candidates, self._detector.look(asked), strict=True):
            labels = _labels(candidate.graph)
            seen = detections(raw, labels, self._threshold, self._config.detector_nms)
            yield self._graph(candidate, seen)

    def _asked(self, candidate: Candidate) -> DetectionQuery:
        ready = candidate.prepared.pop(self.name, None)
        pixels = self.prepare(candidate) if ready is None else ready
        return DetectionQuery(
            pixels, candidate.image.size, tuple(map(self._query, _labels(candidate.graph)))
        )

    def _graph(self, candidate: Candidate, seen: Sequence[Detection]) -> SceneGraph:
        asked = candidate.graph
        record: dict[str, Any] = {
            "items": self._items(candidate, seen),
            "relations": list(self._predicates.relations(asked, seen, candidate.image.size)),
        }
        unknown = {
            "attributes": self._alternatives.unknown(asked),
            "relations": self._predicates.unknown(asked),
        }
        if any(unknown.values()):
            record["unknown"] = {kind: words for kind, words in unknown.items() if words}
        return SceneGraph.from_dict(record)

    def _items(self, candidate: Candidate, seen: Sequence[Detection]) -> list[dict[str, Any]]:
        choices = self._alternatives.choices(candidate.graph)
        asked = [
            (n, choice)
            for n, detection in enumerate(seen)
            for choice in choices.get(detection.label, [])
        ]
        words = self._classifier.choose(
            candidate.image, [(seen[n].box, choice) for n, choice in asked]
        )
        attributes: dict[int, list[str]] = {n: [] for n in range(len(seen))}
        for (n, _), word in zip(asked, words, strict=True):
            attributes[n].append(word)
        return [
            {
                "item_id": n,
                "label": detection.label,
                "attributes": attributes[n],
                "box": detection.box,
                "confidence": detection.confidence,
            }
            for n, detection in enumerate(seen)
        ]


def _labels(graph: SceneGraph) -> list[str]:
    """The distinct names of a graph's objects."""
    return list(dict.fromkeys(item.label for item in graph.items))
