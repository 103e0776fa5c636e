"""Scores as plain numbers."""

from collections.abc import Sequence

from invdpo.curate.batching import Failure
from invdpo.curate.scorers import Judged


def values(judged: Sequence[Judged | Failure]) -> list[float]:
    """The scores. Fails if a candidate has no score."""
    assert all(isinstance(each, Judged) for each in judged), judged
    return [each.score for each in judged if isinstance(each, Judged)]
