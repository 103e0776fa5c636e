"""The annotate stage: reads one scene graph off each candidate, by one annotator."""

from __future__ import annotations

from invdpo.curate.annotators import ANNOTATORS
from invdpo.curate.batching import Failure, ModelStage
from invdpo.curate.candidate import Candidate
from invdpo.schemas import SceneGraph
from invdpo.schemas.config.annotate import AnnotateConfig
from invdpo.schemas.config.make_plugin import make_plugin
from invdpo.schemas.tables import ANNOTATIONS, OK, REJECTED, Record


class Annotate(ModelStage[SceneGraph]):
    """The stage of the annotator called `name`. Raises `PluginError` for an unknown name."""

    schema = ANNOTATIONS
    kind = SceneGraph

    def __init__(self, name: str, config: AnnotateConfig) -> None:
        annotator = make_plugin(ANNOTATORS, name, config)
        super().__init__(name, annotator, config.batch_size)

    def row(self, candidate: Candidate, answer: SceneGraph | Failure) -> Record:
        """The row of the annotations table."""
        graph = answer if isinstance(answer, Failure) else _to_json(answer)
        return {
            "candidate_id": candidate.candidate_id,
            "graph": None if isinstance(graph, Failure) else graph,
            "annotator": self.name,
            "revision": self.revision,
            "status": REJECTED if isinstance(graph, Failure) else OK,
            "error": graph.reason if isinstance(graph, Failure) else None,
        }


def _to_json(graph: SceneGraph) -> str | Failure:
    """As JSON; a `Failure` for half a surrogate pair, which no table can hold."""
    try:
        return graph.to_json()
    except ValueError:
        return Failure("half a character (a lone surrogate)")
