"""Verdicts as plain numbers."""

from collections.abc import Sequence

from invdpo.curate.batching import Failure
from invdpo.curate.scorers import Judged


def values(verdicts: Sequence[Judged | Failure]) -> list[float]:
    """The scores. Fails when a case could not be judged."""
    assert all(isinstance(verdict, Judged) for verdict in verdicts), verdicts
    return [verdict.score for verdict in verdicts if isinstance(verdict, Judged)]
