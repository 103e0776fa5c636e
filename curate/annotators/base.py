"""What an annotator is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from invdpo.curate.batching import Failure
from invdpo.curate.candidate import Candidate
from invdpo.schemas import SceneGraph
from invdpo.schemas.config.annotate import AnnotateConfig
from invdpo.schemas.plugins import Registry


class Annotator(Protocol):
    """Reads scene graphs off pictures; made from the configuration, loads its model when called."""

    name: str
    needs: Sequence[str]
    """Which of image, prompt and graph must be there; candidates without come out rejected."""

    @property
    def revision(self) -> str:
        """Which weights, rules and settings give these graphs."""
        ...

    def __call__(self, candidates: Sequence[Candidate], /) -> Sequence[SceneGraph | Failure]:
        """What each picture shows, in order; a `Failure` with the reason where it can't be told."""
        ...


ANNOTATORS: Registry[Callable[[AnnotateConfig], Annotator]] = Registry("annotator")
