"""`brisque`: how unnatural an image looks by its local statistics (Mittal and others, 2012)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any

from invdpo.curate.candidate import IMAGE, Candidate
from invdpo.curate.scorers.base import SCORERS, Judged, Scorer
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.plugins import require


@SCORERS.register("brisque")
class BrisqueScorer(Scorer):
    """About 0..100, lower is better. Raises `PluginError` without the extra `quality`."""

    name = "brisque"
    needs: Sequence[str] = (IMAGE,)
    higher_is_better = False

    def __init__(self, config: ScoreConfig) -> None:
        """It has no options."""

    @cached_property
    def revision(self) -> str:
        """The package that contains the weights."""
        for module in ("brisque", "cv2"):
            require(module, "quality", "the scorer brisque")
        return f"brisque {version('brisque')}"

    @cached_property
    def _measure(self) -> Any:
        from brisque import BRISQUE

        measure = BRISQUE(url=False)
        scale = measure.scale_features
        # the package's features are arrays of one number, which numpy 2.4 no longer converts
        measure.scale_features = lambda features: scale([_number(value) for value in features])
        return measure

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
        """One score a candidate."""
        import numpy as np

        images = [np.asarray(candidate.image) for candidate in candidates]
        return [Judged(float(self._measure.score(image))) for image in images]


def _number(value: Any) -> float:
    import numpy as np

    return float(np.asarray(value, dtype=np.float64).reshape(()))
