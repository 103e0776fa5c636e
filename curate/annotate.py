"""The annotate stage: candidates in, one observed scene graph each out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from invdpo.curate.annotators import ANNOTATORS
from invdpo.curate.batching import Failure, in_batches
from invdpo.curate.candidate import Candidate
from invdpo.schemas import InvdpoError, SceneGraph
from invdpo.schemas.config.annotate import AnnotateConfig
from invdpo.schemas.tables import ANNOTATIONS, OK, REJECTED, Record


class Annotate:
    """Reads candidates by the annotator called `name`. Raises `PluginError` for an unknown one."""

    schema = ANNOTATIONS

    def __init__(self, name: str, config: AnnotateConfig) -> None:
        self.name = name
        self._annotator = ANNOTATORS[name](config)
        self.chunk = config.batch_size
        self.needs: Sequence[str] = self._annotator.needs

    @property
    def revision(self) -> str:
        """The annotator's. Raises `ModelError` when its model can't be found."""
        return self._annotator.revision

    def prepare(self, case: Candidate) -> None:
        """Read what the annotator needs, and have it prepare the picture if it can do so ahead."""
        ready = getattr(self._annotator, "prepare", None)
        if case.problem(self.needs) is None and ready is not None:
            with suppress(InvdpoError):  # told when it is called
                case.prepared[self.name] = ready(case)

    def counts(self) -> Mapping[str, float]:
        """What the annotator counted since it was last asked, of those that count."""
        found: Mapping[str, float] = getattr(self._annotator, "counts", dict)()
        return found

    def __call__(self, cases: Iterable[Candidate]) -> Iterator[Record]:
        """One row of the annotations table a candidate, in order."""
        for case, seen in in_batches(self._annotator, self.needs, self.chunk, cases):
            yield self._row(case, seen if isinstance(seen, Failure) else _written(seen))

    def _row(self, case: Candidate, seen: str | Failure) -> Record:
        return {
            "candidate_id": case.candidate_id,
            "graph": None if isinstance(seen, Failure) else seen,
            "annotator": self.name,
            "revision": self.revision,
            "status": REJECTED if isinstance(seen, Failure) else OK,
            "error": seen.reason if isinstance(seen, Failure) else None,
        }


def _written(graph: SceneGraph) -> str | Failure:
    """As JSON. Escapes of JSON may stand for half a character, which no table can hold."""
    try:
        return graph.to_json()
    except ValueError:
        return Failure("half a character (a lone surrogate)")
