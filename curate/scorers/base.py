"""The base class of scorers, what a scorer answers, and the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from invdpo.curate.batching import Model, problem_of
from invdpo.curate.candidate import GRAPH, IMAGE, OBSERVED, PROMPT, Candidate
from invdpo.schemas.plugins import Registry

__all__ = ["GRAPH", "IMAGE", "OBSERVED", "PROMPT", "SCORERS", "Candidate", "Judged", "Scorer"]


@dataclass(frozen=True)
class Judged:
    """A raw score on the scorer's own scale, and the figures that it was computed from."""

    score: float
    components: Mapping[str, float] = field(default_factory=dict)
    cut: bool = False
    """Whether the prompt was longer than the scorer's text encoder takes."""


class Scorer(Model[Judged]):
    """Gives each candidate a score; `Model` states what a subclass defines.

    Of a candidate it may need the image, the prompt, the prompt's graph and the observed graph.
    """

    higher_is_better: bool = True


SCORERS: Registry[Callable[..., Scorer]] = Registry("scorer", "invdpo.scorers", Scorer, problem_of)
