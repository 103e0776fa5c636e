"""`shapes`: reads the embedded world by classical vision."""

from __future__ import annotations

from collections.abc import Sequence

from invdpo.curate.annotators.base import ANNOTATORS, Annotator
from invdpo.curate.candidate import IMAGE, Candidate
from invdpo.schemas import SceneGraph
from invdpo.schemas.config.annotate import AnnotateConfig


@ANNOTATORS.register("shapes")
class ShapesAnnotator(Annotator):
    """Coloured shapes, their boxes and relations; knows nothing of the prompt."""

    name = "shapes"
    needs: Sequence[str] = (IMAGE,)
    revision = "1"
    """Raised whenever the same image would give another graph."""

    def __init__(self, config: AnnotateConfig) -> None:
        """It has no options."""

    def __call__(self, candidates: Sequence[Candidate]) -> list[SceneGraph]:
        """One graph an image."""
        import numpy as np

        from invdpo.curate.shapes.vision import observe

        return [observe(np.asarray(candidate.image)) for candidate in candidates]
