"""`clip`: cosine of image and text embeddings by any open_clip model."""

from __future__ import annotations

from functools import cached_property

from invdpo.curate.checkpoints import open_clip
from invdpo.curate.checkpoints.model_files import ModelFiles, clip_files
from invdpo.curate.scorers.base import SCORERS
from invdpo.curate.scorers.embeddings import CosineScorer


@SCORERS.register("clip")
class ClipScorer(CosineScorer):
    """CLIP score, -1..1. Raises `ModelError` in the first call if the model can't be loaded."""

    name = "clip"

    @cached_property
    def revision(self) -> str:
        """Model with the hash of its weights or, from the Hub, with its commit."""
        return self._source.revision()

    @cached_property
    def _source(self) -> open_clip.Source:
        return open_clip.find(self._config.clip_model, self._config.clip_pretrained)

    def model_files(self) -> list[ModelFiles]:
        """The configured model."""
        return [clip_files(self._source)]

    def load(self) -> open_clip.OpenClip:
        """The configured model."""
        return open_clip.load_encoder(self._source, self._config.device)
