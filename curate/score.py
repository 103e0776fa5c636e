"""The score stage: candidates in, one raw score each out, of one scorer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from invdpo.curate.batching import Failure, in_batches
from invdpo.curate.candidate import Candidate
from invdpo.curate.scorers import SCORERS, Judged
from invdpo.schemas import InvdpoError
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.tables import OK, REJECTED, SCORES, Record


class Score:
    """Judges candidates by the scorer called `name`. Raises `PluginError` for an unknown one."""

    schema = SCORES

    def __init__(self, name: str, config: ScoreConfig) -> None:
        self.name = name
        self._scorer = SCORERS[name](config)
        self.chunk = config.batch_size
        self.needs: Sequence[str] = self._scorer.needs

    @property
    def revision(self) -> str:
        """The scorer's. Raises `ModelError` when its model can't be found."""
        return self._scorer.revision

    def prepare(self, case: Candidate) -> None:
        """Read what the scorer needs, and have it prepare the picture if it can do so ahead."""
        ready = getattr(self._scorer, "prepare", None)
        if case.problem(self.needs) is None and ready is not None:
            with suppress(InvdpoError):  # told when it is called
                case.prepared[self.name] = ready(case)

    def __call__(self, cases: Iterable[Candidate]) -> Iterator[Record]:
        """One row of the scores table a candidate, in order; what can't be judged is rejected."""
        for case, judged in in_batches(self._scorer, self.needs, self.chunk, cases):
            yield self._row(case, _finite(judged))

    def _row(self, case: Candidate, judged: Judged | Failure) -> Record:
        row = {
            "candidate_id": case.candidate_id,
            "scorer": self.name,
            "revision": self.revision,
        }
        if isinstance(judged, Failure):
            return row | {
                "score": None,
                "components": None,
                "status": REJECTED,
                "error": judged.reason,
            }
        components = sorted((name, float(value)) for name, value in judged.components.items())
        return row | {
            "score": float(judged.score),
            "components": components,
            "status": OK,
            "error": None,
        }


def _finite(judged: Judged | Failure) -> Judged | Failure:
    if isinstance(judged, Failure) or math.isfinite(judged.score):
        return judged
    return Failure(f"the score is {judged.score}")
