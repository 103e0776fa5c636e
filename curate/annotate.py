"""The annotate stage: candidates in, one observed scene graph each out."""

from __future__ import annotations

from invdpo.curate.annotators import ANNOTATORS
from invdpo.curate.batching import Failure, ModelStage
from invdpo.curate.candidate import Candidate
from invdpo.schemas import SceneGraph
from invdpo.schemas.config.annotate import AnnotateConfig
from invdpo.schemas.tables import ANNOTATIONS, OK, REJECTED, Record


class Annotate(ModelStage[SceneGraph]):
    """Reads candidates by the annotator called `name`. Raises `PluginError` for an unknown one."""

    schema = ANNOTATIONS

    def __init__(self, name: str, config: AnnotateConfig) -> None:
        super().__init__(name, ANNOTATORS[name](config), config.batch_size)

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
    """Escapes of JSON may stand for half a character, which no table can hold."""
    try:
        return graph.to_json()
    except ValueError:
        return Failure("half a character (a lone surrogate)")
