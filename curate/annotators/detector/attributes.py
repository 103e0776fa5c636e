"""Chooses the attributes of a detected object among the alternatives of a kind, by open_clip.

Legend: n crops, m alternatives, d the width of the joint embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from math import ceil, floor
from typing import TYPE_CHECKING

from invdpo.curate.checkpoints import open_clip
from invdpo.curate.checkpoints.load_once import LoadOnce
from invdpo.curate.scene_graphs.vocabulary import AttributeChoice
from invdpo.schemas.config.annotate import AnnotateConfig
from invdpo.schemas.graph import Box

if TYPE_CHECKING:
    import torch
    from PIL import Image

MAX_CACHED_CHOICES = 1024


class AttributeClassifier:
    """The configured open_clip model. Raises `ModelError` at the first choice if it can't load."""

    def __init__(self, config: AnnotateConfig) -> None:
        self._config = config
        self._clip = LoadOnce(lambda: open_clip.load_encoder(self.source, config.device))
        self._texts = lru_cache(MAX_CACHED_CHOICES)(self._encode)

    @cached_property
    def source(self) -> open_clip.Source:
        """Where the configured model comes from. Raises `ModelError`."""
        config = self._config
        return open_clip.find(config.detector_clip_model, config.detector_clip_pretrained)

    def choose(
        self, image: Image.Image, choices: Sequence[tuple[Box, AttributeChoice]]
    ) -> list[list[str]]:
        """For each box and its choice, the words that describe the object best, best first."""
        import torch

        if not choices:
            return []
        clip = self._clip()
        boxes = list(dict.fromkeys(box for box, _ in choices))
        pixels = torch.stack([clip.pixels(_crop(image, box)) for box in boxes])
        with torch.inference_mode():
            embeddings = clip.images(pixels.to(clip.device))
        crops: Mapping[Box, torch.Tensor] = dict(zip(boxes, embeddings, strict=True))
        return [_best(choice, self._texts(choice) @ crops[box]) for box, choice in choices]

    def _encode(self, choice: AttributeChoice) -> torch.Tensor:
        """Unit embeddings of a phrase for each word, m×d."""
        import torch

        texts = [f"a photo of a {word} {choice.label}" for word in choice.words]
        with torch.inference_mode():
            return self._clip().texts(texts)


def _best(choice: AttributeChoice, likeness: torch.Tensor) -> list[str]:
    """`likeness` of each word, m."""
    return [choice.words[n] for n in likeness.topk(choice.take).indices.tolist()]


def _crop(image: Image.Image, box: Box) -> Image.Image:
    """The part of the image in a box; at least one pixel."""
    width, height = image.size
    left, top = min(floor(box[0] * width), width - 1), min(floor(box[1] * height), height - 1)
    right, bottom = max(ceil(box[2] * width), left + 1), max(ceil(box[3] * height), top + 1)
    return image.crop((left, top, min(right, width), min(bottom, height)))
