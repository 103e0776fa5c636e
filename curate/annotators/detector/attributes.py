"""Which attribute a cut-out shows, of the alternatives of its kind, by open_clip.

Legend: n cut-outs, m alternatives, d the width of the joint embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from math import ceil, floor
from typing import TYPE_CHECKING

from invdpo.curate.checkpoints import open_clip
from invdpo.curate.devices import torch_device
from invdpo.curate.scene_graphs.vocabulary import AttributeChoice
from invdpo.curate.scorers.embeddings import OpenClip
from invdpo.schemas.config.annotate import AnnotateConfig
from invdpo.schemas.graph import Box

if TYPE_CHECKING:
    import torch
    from PIL import Image


REMEMBERED = 1024


class AttributeClassifier:
    """The open_clip model that chooses; loaded at the first question, `ModelError` if it can't."""

    def __init__(self, config: AnnotateConfig) -> None:
        self._config = config
        self._texts = lru_cache(REMEMBERED)(self._encoded)

    @cached_property
    def source(self) -> open_clip.Source:
        """What the configuration names. Raises `ModelError`."""
        config = self._config
        return open_clip.find(config.detector_clip_model, config.detector_clip_pretrained)

    @cached_property
    def _towers(self) -> OpenClip:
        device = torch_device(self._config.device)
        return OpenClip(open_clip.load(self.source, device), device)

    def choose(self, image: Image.Image, asked: Sequence[tuple[Box, AttributeChoice]]) -> list[str]:
        """The word that suits best, for each box and its question."""
        import torch

        if not asked:
            return []
        boxes = list(dict.fromkeys(box for box, _ in asked))
        pixels = torch.stack([self._towers.pixels(_cropped(image, box)) for box in boxes])
        with torch.inference_mode():
            seen = self._towers.images(pixels.to(self._towers.device))
        shown: Mapping[Box, torch.Tensor] = dict(zip(boxes, seen, strict=True))
        return [
            choice.words[int((self._texts(choice) @ shown[box]).argmax())] for box, choice in asked
        ]

    def _encoded(self, choice: AttributeChoice) -> torch.Tensor:
        """Unit embeddings of a phrase for each word, m×d."""
        import torch

        texts = [f"a photo of a {word} {choice.label}" for word in choice.words]
        with torch.inference_mode():
            return self._towers.texts(texts)


def _cropped(image: Image.Image, box: Box) -> Image.Image:
    """What lies in a box; at least one pixel."""
    width, height = image.size
    left, top = min(floor(box[0] * width), width - 1), min(floor(box[1] * height), height - 1)
    right, bottom = max(ceil(box[2] * width), left + 1), max(ceil(box[3] * height), top + 1)
    return image.crop((left, top, min(right, width), min(bottom, height)))
