"""The score stage: gives each candidate one raw score, by one scorer."""

from __future__ import annotations

import math
from typing import Any, SupportsFloat

from invdpo.curate.batching import Failure, ModelStage
from invdpo.curate.candidate import Candidate
from invdpo.curate.scorers import SCORERS, Judged
from invdpo.curate.storage.cuts import CUT_PROMPT
from invdpo.schemas.config.make_plugin import make_plugin
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.tables import OK, REJECTED, SCORES, Record


class Score(ModelStage[Judged]):
    """The stage of the scorer called `name`. Raises `PluginError` for an unknown name."""

    schema = SCORES
    kind = Judged

    def __init__(self, name: str, config: ScoreConfig) -> None:
        scorer = make_plugin(SCORERS, name, config)
        super().__init__(name, scorer, config.batch_size)
        self._lower_is_better = not scorer.higher_is_better

    @property
    def made_by(self) -> dict[str, Any]:
        """Of a plug-in also its direction, which pairing needs where it isn't installed."""
        about = super().made_by
        return about | ({"lower_is_better": self._lower_is_better} if "plugin" in about else {})

    def row(self, candidate: Candidate, answer: Judged | Failure) -> Record:
        """The row of the scores table; a score that is not finite is rejected."""
        row = {
            "candidate_id": candidate.candidate_id,
            "scorer": self.name,
            "revision": self.revision,
        }
        judged = _finite(answer)
        if isinstance(judged, Failure):
            empty = {"score": None, "components": None}
            return row | empty | {"status": REJECTED, "error": judged.reason}
        if judged.cut:
            row[CUT_PROMPT] = candidate.prompt
        components = sorted((name, float(value)) for name, value in judged.components.items())
        score = float(judged.score)
        return row | {"score": score, "components": components, "status": OK, "error": None}


def _finite(answer: Judged | Failure) -> Judged | Failure:
    if isinstance(answer, Failure):
        return answer
    for name, value in {"score": answer.score, **answer.components}.items():
        if not isinstance(value, SupportsFloat):
            return Failure(f"the {name} is {value!r}, which is no number")
    if math.isfinite(answer.score):
        return answer
    return Failure(f"the score is {answer.score}")
