"""`clip`: cosine of image and text embeddings by any open_clip model."""

from __future__ import annotations

from functools import cached_property

from invdpo.curate.checkpoints import open_clip
from invdpo.curate.devices import torch_device
from invdpo.curate.scorers.base import SCORERS
from invdpo.curate.scorers.embeddings import CosineScorer, OpenClip


@SCORERS.register("clip")
class ClipScorer(CosineScorer):
    """CLIP score, -1..1. Raises `ModelError` in the first call when the model can't be loaded."""

    name = "clip"

    @cached_property
    def revision(self) -> str:
        """Model with the hash of its weights or, from the Hub, with its commit."""
        return self._source.revision()

    @cached_property
    def _source(self) -> open_clip.Source:
        return open_clip.find(self._config.clip_model, self._config.clip_pretrained)

    def load(self) -> OpenClip:
        """The configured model."""
        device = torch_device(self._config.device)
        return OpenClip(open_clip.load(self._source, device), device)
