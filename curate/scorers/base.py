"""What a scorer is, what it is given, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from invdpo.curate.batching import Failure
from invdpo.curate.candidate import GRAPH, IMAGE, OBSERVED, PROMPT, Candidate
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.plugins import Registry

__all__ = ["GRAPH", "IMAGE", "OBSERVED", "PROMPT", "SCORERS", "Candidate", "Judged", "Scorer"]


@dataclass(frozen=True)
class Judged:
    """A raw score on the scorer's own scale, and the figures it was made of."""

    score: float
    components: Mapping[str, float] = field(default_factory=dict)


class Scorer(Protocol):
    """Judges candidates; made from the configuration alone, loads its model in the first call."""

    name: str
    needs: Sequence[str]
    """Which of image, prompt, graph and observed_graph must be there; others come out rejected."""
    higher_is_better: bool

    @property
    def revision(self) -> str:
        """Which weights or rules give these scores."""
        ...

    def __call__(self, candidates: Sequence[Candidate], /) -> Sequence[Judged | Failure]:
        """One verdict a candidate, in order; the same whatever it is batched with.

        A candidate that this scorer can't judge comes back as a `Failure` with the reason.
        """
        ...


SCORERS: Registry[Callable[[ScoreConfig], Scorer]] = Registry("scorer")
