"""The score stage: candidates in, one raw score each out, of one scorer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from invdpo.curate.attempts import Failure, attempt
from invdpo.curate.scorers import SCORERS, Case, Judged
from invdpo.schemas.config import ScoreConfig
from invdpo.schemas.tables import OK, REJECTED, SCORES, Record


class Score:
    """Judges candidates by the scorer called `name`.

    Input rows are candidates with `prompt` and `graph` of their prompt and `observed_graph` (and
    `observed_error`, when it was rejected) of their annotation added. `image` may be left out when
    `needs` does not name it. Raises `PluginError` for an unknown scorer.
    """

    schema = SCORES

    def __init__(self, name: str, config: ScoreConfig) -> None:
        self.name = name
        self._scorer = SCORERS[name](config)
        self._batch_size = config.batch_size
        self.needs: Sequence[str] = self._scorer.needs

    @property
    def revision(self) -> str:
        """The scorer's. Raises `ModelError` when its model can't be found."""
        return self._scorer.revision

    def __call__(self, rows: Iterable[Record]) -> Iterator[Record]:
        """One row of the scores table a candidate, in order; what can't be judged is rejected."""
        source = iter(rows)
        while batch := list(islice(source, self._batch_size)):
            yield from self._score(batch)

    def _score(self, rows: Sequence[Record]) -> Iterator[Record]:
        cases = [Case(row) for row in rows]
        problems = [self._problem(*pair) for pair in zip(rows, cases, strict=True)]
        fit = [case for case, problem in zip(cases, problems, strict=True) if problem is None]
        judged = iter(attempt(self._scorer, fit))
        for row, problem in zip(rows, problems, strict=True):
            yield self._reject(row, problem) if problem else self._judge(row, next(judged))

    def _problem(self, row: Record, case: Case) -> str | None:
        if row.get("status") == REJECTED:
            return f"candidate rejected: {row.get('error')}"
        return case.problem(self.needs)

    def _judge(self, row: Record, judged: Judged | Failure) -> Record:
        if isinstance(judged, Failure):
            return self._reject(row, judged.reason)
        if not math.isfinite(judged.score):
            return self._reject(row, f"the score is {judged.score}")
        components = sorted((name, float(value)) for name, value in judged.components.items())
        return self._row(row, float(judged.score), components, OK, None)

    def _reject(self, row: Record, reason: str) -> Record:
        return self._row(row, None, None, REJECTED, reason)

    def _row(
        self,
        row: Record,
        score: float | None,
        components: list[tuple[str, float]] | None,
        status: str,
        error: str | None,
    ) -> Record:
        return {
            "candidate_id": row["candidate_id"],
            "score": score,
            "components": components,
            "scorer": self.name,
            "revision": self.revision,
            "status": status,
            "error": error,
        }
