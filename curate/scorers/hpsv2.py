"""`hpsv2`: Human Preference Score 2.0 and 2.1 (arXiv 2306.09341), an open_clip ViT-H-14."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invdpo.curate.checkpoints import open_clip
from invdpo.curate.checkpoints.model_files import ModelFiles, checkpoint_files
from invdpo.curate.checkpoints.weights import (
    DIGITS,
    fill,
    find_file,
    hash_checkpoint,
    read_tensors,
)
from invdpo.curate.devices import torch_device
from invdpo.curate.scorers.base import SCORERS
from invdpo.curate.scorers.embeddings import CosineScorer

if TYPE_CHECKING:
    import torch
    from PIL import Image

REPOSITORY = "xswu/HPSv2"
FILES = {"2.0": "HPS_v2_compressed.pt", "2.1": "HPS_v2.1_compressed.pt"}


@SCORERS.register("hpsv2")
class HpsScorer(CosineScorer):
    """Cosine, mostly .2...4; compares images of one prompt."""

    name = "hpsv2"

    @cached_property
    def revision(self) -> str:
        """Version, and hash of the checkpoint."""
        digest = hash_checkpoint(*self._wanted)
        return f"hpsv2 {self._config.hpsv2_version} sha256:{digest[:DIGITS]}"

    @property
    def _wanted(self) -> tuple[str | None, str, str, str]:
        """The checkpoint, as `find_file` is asked for it."""
        config = self._config
        file = FILES[config.hpsv2_version]
        return config.hpsv2_checkpoint, REPOSITORY, file, "score.hpsv2_checkpoint"

    @cached_property
    def _checkpoint(self) -> Path:
        return find_file(*self._wanted)

    def model_files(self) -> list[ModelFiles]:
        """The checkpoint."""
        return [checkpoint_files(*self._wanted[:3])]

    def load(self) -> open_clip.OpenClip:
        """The checkpoint in the architecture it was released for."""
        device = torch_device(self._config.device)
        model = open_clip.blank(self._config.hpsv2_architecture)
        fill(model.network, read_tensors(self._checkpoint), self._checkpoint)
        size = model.network.visual.image_size
        preprocess = Letterbox(size if isinstance(size, int) else size[0])
        model = model._replace(network=model.network.to(device).eval(), preprocess=preprocess)
        return open_clip.OpenClip(model, device)


class Letterbox:
    """The released transform: the full image, resized as a tensor, with black bars.

    Bicubic with antialiasing, torchvision's default since 0.17; earlier versions did without.
    """

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """An RGB image to 3×size×size."""
        from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms import functional as transform

        pixels: Any = transform.to_tensor(image)
        scale = self._size / max(pixels.shape[1:])
        inner = [max(1, round(side * scale)) for side in pixels.shape[1:]]
        if scale != 1:
            pixels = transform.resize(pixels, inner, InterpolationMode.BICUBIC, antialias=True)
        # the release leaves the bars out where nothing is resized, and then fails at the model
        down, right = (self._size - side for side in inner)
        sides = [right // 2, down // 2, right - right // 2, down - down // 2]
        pixels = transform.pad(pixels, sides)
        normalized: torch.Tensor = transform.normalize(
            pixels, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
        )
        return normalized
