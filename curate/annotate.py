"""The annotate stage: candidates in, one observed scene graph each out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from invdpo.curate.annotators import ANNOTATORS
from invdpo.curate.attempts import Failure, attempt
from invdpo.curate.case import Case
from invdpo.schemas import SceneGraph
from invdpo.schemas.config import AnnotateConfig
from invdpo.schemas.tables import ANNOTATIONS, OK, REJECTED, Record


class Annotate:
    """Reads candidates by the annotator called `name`. Raises `PluginError` for an unknown one.

    Input rows are candidates, with `prompt` and `graph` of their prompt added when `needs` names
    one of them.
    """

    schema = ANNOTATIONS

    def __init__(self, name: str, config: AnnotateConfig) -> None:
        self.name = name
        self._annotator = ANNOTATORS[name](config)
        self._batch_size = config.batch_size
        self.needs: Sequence[str] = self._annotator.needs

    @property
    def revision(self) -> str:
        """The annotator's. Raises `ModelError` when its model can't be found."""
        return self._annotator.revision

    def __call__(self, rows: Iterable[Record]) -> Iterator[Record]:
        """One row of the annotations table a candidate, in order."""
        source = iter(rows)
        while batch := list(islice(source, self._batch_size)):
            yield from self._annotate(batch)

    def _annotate(self, rows: Sequence[Record]) -> Iterator[Record]:
        cases = [Case(row) for row in rows]
        problems = [self._problem(*pair) for pair in zip(rows, cases, strict=True)]
        fit = [case for case, problem in zip(cases, problems, strict=True) if problem is None]
        graphs = iter(attempt(self._annotator, fit))
        for row, problem in zip(rows, problems, strict=True):
            yield self._row(row, problem or next(graphs))

    def _problem(self, row: Record, case: Case) -> Failure | None:
        if row.get("status") == REJECTED:
            return Failure(f"candidate rejected: {row.get('error')}")
        problem = case.problem(self.needs)
        return Failure(problem) if problem else None

    def _row(self, row: Record, seen: SceneGraph | Failure) -> Record:
        return {
            "candidate_id": row["candidate_id"],
            "graph": None if isinstance(seen, Failure) else seen.to_json(),
            "annotator": self.name,
            "revision": self.revision,
            "status": REJECTED if isinstance(seen, Failure) else OK,
            "error": seen.reason if isinstance(seen, Failure) else None,
        }
