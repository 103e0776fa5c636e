"""Images of the model in training, at chosen steps from the same prompts and the same noise.

Prompts were encoded in phase one; the VAE is loaded to decode, and freed again.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.ids import fold
from invdpo.schemas.io.files import write_atomically
from invdpo.schemas.io.records import read_prompts
from invdpo.schemas.io.text_files import one_line
from invdpo.train.batches import seeded_generator
from invdpo.train.cache.trajectories import Cache
from invdpo.train.chunks import chunks
from invdpo.train.data import Pair
from invdpo.train.data.buckets import Framing, Size
from invdpo.train.inversion import regenerate
from invdpo.train.models import ModelAdapter
from invdpo.train.models.reference import Reference

PROMPTS = 8
"""Prompts of the dataset for which images are generated unless a file names others."""
STEPS = 25
"""Steps of the sampler."""
OnSheet = Callable[[Image.Image, Sequence[str], int], None]


def read_image_prompts(config: TrainConfig, splits: dict[str, list[Pair]]) -> list[str]:
    """The prompts to use: those of a file, or prompts of the dataset, validation first.

    Raises `DataError` for a file that can't be read or has none.
    """
    if not config.pictures_every:
        return []
    if config.picture_prompts is None:
        pairs = [*splits["validation"], *splits["train"]]
        prompts: dict[str, str] = {}
        for pair in pairs:
            prompts.setdefault(fold(pair.prompt), pair.prompt)
        return list(prompts.values())[:PROMPTS]
    return read_prompts(Path(config.picture_prompts))


@dataclass
class ValidationImages:
    """Writes into `folder`: `step-000050.png` and the like, rows of four in the prompts' order."""

    adapter: ModelAdapter
    cache: Cache
    config: TrainConfig
    prompts: Sequence[str]
    size: Size
    folder: Path
    is_main: bool = True
    """Whether this process decodes and writes; all processes that share weights must generate."""
    on_sheet: OnSheet | None = None
    """Called with what was written: the images on one sheet, their prompts, and the step."""

    @torch.no_grad()
    def draw(self, step: int) -> Path:
        """Generate all images with the adapter's denoiser as it is now; the path of the file."""
        per_call = max(1, self.config.unet_batch_size // 2)
        latents = [self._latents(chunk) for chunk in chunks(range(len(self.prompts)), per_call)]
        path = self.folder / f"step-{step:06d}.png"
        if self.is_main:
            clean = torch.cat(latents)
            images = [to_image(self.adapter.decode_latents(x[None])) for x in clean]
            self.adapter.drop_encoders()
            sheet = contact_sheet(images)
            write_atomically(
                self.folder / "prompts.txt", "\n".join(map(one_line, self.prompts)).encode()
            )
            write_atomically(path, png(sheet))
            if self.on_sheet:
                self.on_sheet(sheet, self.prompts, step)
        return path

    def _latents(self, indices: Sequence[int]) -> Tensor:
        """(B, C, H, W) of the prompts at these indices, each from noise of its own."""
        adapter, cache, config = self.adapter, self.cache, self.config
        shape = adapter.latent_shape(self.size)
        noise = [
            torch.randn(shape, generator=seeded_generator(config.seed, "picture", i))
            for i in indices
        ]
        framing = Framing(self.size, (0, 0), self.size)
        sizes = adapter.size_conditioning([framing] * len(indices))
        conditioning = cache.conditioning([self.prompts[i] for i in indices]) | sizes
        # a model distilled with guidance generates with what it takes as an input
        scale = 1.0 if adapter.embeds_guidance else config.picture_guidance_scale
        empty = cache.conditioning([None] * len(indices)) | sizes if scale != 1 else None
        predict = Reference(adapter, conditioning, empty, scale, config.unet_batch_size)
        process = adapter.process
        grid = process.grid(min(STEPS, process.most_steps), shape)
        return regenerate(predict, process, torch.stack(noise).to(adapter.device), grid)


def to_image(pixels: Tensor) -> Image.Image:
    """An image (1, 3, height, width) in -1..1."""
    raw = ((pixels[0] + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().contiguous()
    return Image.frombytes("RGB", (raw.shape[1], raw.shape[0]), raw.numpy().tobytes())


def contact_sheet(images: Sequence[Image.Image], columns: int = 4) -> Image.Image:
    """Images of one size side by side, two pixels apart, in rows."""
    width, height = images[0].width + 2, images[0].height + 2
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    sheet = Image.new("RGB", (columns * width - 2, rows * height - 2), "white")
    for i, image in enumerate(images):
        sheet.paste(image, (i % columns * width, i // columns * height))
    return sheet


def png(image: Image.Image) -> bytes:
    """The encoded image."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
