"""Whether the grid is fine enough: some images are inverted, re-generated and compared.

Shapes: B images, C x H x W the latent.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import DataError
from invdpo.train.cache.fill import CacheBuilder
from invdpo.train.cache.trajectories import open_cache
from invdpo.train.chunks import chunks
from invdpo.train.data import Pair
from invdpo.train.distributed import pick_device
from invdpo.train.inversion import invert, regenerate
from invdpo.train.models import load_adapter
from invdpo.train.models.finetuning import set_reference
from invdpo.train.objective import OBJECTIVES
from invdpo.train.splits import open_data, read_splits, resolve_config

GOOD_PSNR = 30.0
"""Decibels from which the re-generated image is hard to distinguish from the original."""
WORTHWHILE_GAIN = 1.0
"""Decibels that a grid of twice the steps should gain to be worth its cost."""


@dataclass(frozen=True)
class GridQuality:
    """How well one grid re-generates the images."""

    steps: int
    """N."""
    latent_error: float
    """Root of mean |latent - again|² over mean |latent|², of all images together."""
    psnr: float
    """Decibels of decoded images against the VAE's own round trip, mean over images."""
    seconds: float
    """Of inverting and re-generating one image."""


@dataclass(frozen=True)
class InversionCheck:
    """The configured grid beside a coarser and a finer one."""

    images: int
    guidance: float
    configured: int
    """N of the configuration."""
    rows: tuple[GridQuality, ...]
    advice: str

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        rows = [asdict(row).items() for row in self.rows]
        finite = [{k: v if math.isfinite(v) else None for k, v in row} for row in rows]
        return {**asdict(self), "rows": finite}


def check_inversion(dataset: str | Path, config: TrainConfig, images: int = 8) -> InversionCheck:
    """Try N/2, N and 2N on the first winners of `dataset`; nothing is written beside it.

    Raises as `train` does; `DataError` when no image can be read.
    """
    adapter = load_adapter(config, pick_device(config.device))
    # the path of an image has nothing to do with what its pair or a region of it counts
    weights = {"box_weight": 1.0, "margin_weights": False}
    config = resolve_config(config, adapter).model_copy(update=weights)
    set_reference(adapter, config)
    steps = config.num_inversion_steps
    adapter.process.key(steps)  # raises where the model allows no such grid
    data = open_data(dataset, config)
    every_pair = read_splits(data, adapter, config)["train"].pairs
    pairs = list({pair.chosen: pair for pair in every_pair}.values())[:images]
    with TemporaryDirectory(prefix="invdpo-") as folder:
        builder = CacheBuilder(adapter, config, open_cache(Path(folder), adapter, config))
        builder.encode(data, {"train": pairs})
        adapter.drop_encoders()
        pairs = [p for p in pairs if not builder.cache.unreadable.keys() & {p.chosen}]
        if not pairs:
            raise DataError(f"{dataset}: no readable image in the train split to check.")
        sizes = sorted({max(1, steps // 2), steps, min(2 * steps, adapter.process.most_steps)})
        rows = tuple(_quality(builder, pairs, n) for n in sizes)
    scale = config.inversion_guidance_scale
    text = advice(rows, steps, _guided_by(config)) + without_inversion(config)
    return InversionCheck(len(pairs), scale, steps, rows, text)


def _guided_by(config: TrainConfig) -> str | None:
    """The option, of the two kinds of guidance, that is not 1; None for neither."""
    options = ("inversion_guidance_scale", "embedded_guidance")
    return next((name for name in options if getattr(config, name) != 1), None)


def advice(rows: Sequence[GridQuality], steps: int, guidance: str | None = None) -> str:
    """One sentence on what to do with N; `guidance` is the option that guides the inversion."""
    level = {row.steps: row.psnr for row in rows}
    now, finest = level[steps], max(level)
    if not all(map(math.isfinite, level.values())):
        return "The reconstructed images are not finite: try --dtype float32."
    if now >= GOOD_PSNR:
        coarser = [n for n in level if n < steps and level[n] >= GOOD_PSNR]
        less = f"; {coarser[0]} is enough, too, at half the cost" if coarser else ""
        return f"N = {steps} is fine enough ({now:.1f} dB, {GOOD_PSNR:.0f} or more is good){less}."
    if finest == steps or level[finest] < now + WORTHWHILE_GAIN:
        if guidance:
            return f"More steps hardly help: set {guidance} closer to 1."
        return f"N = {steps} reconstructs poorly ({now:.1f} dB), and more steps are hardly better."
    enough = "and is fine enough" if level[finest] >= GOOD_PSNR else "which is still coarse"
    better = f"num_inversion_steps {finest} reaches {level[finest]:.1f}, {enough}"
    return f"N = {steps} is coarse ({now:.1f} dB, {GOOD_PSNR:.0f} or more is good): {better}."


def without_inversion(config: TrainConfig) -> str:
    """A further sentence where the training itself would invert nothing; else empty."""
    if not OBJECTIVES[config.objective].inverts:
        return f" But a training with objective {config.objective} inverts nothing."
    return " But a training with noise `fresh` inverts nothing." if config.noise == "fresh" else ""


def _quality(builder: CacheBuilder, pairs: list[Pair], steps: int) -> GridQuality:
    began = time.perf_counter()
    latents = list(_regenerated(builder, pairs, steps))
    seconds = (time.perf_counter() - began) / len(pairs)
    power = torch.cat([latent.pow(2).mean((1, 2, 3)) for latent, _ in latents])
    error = torch.cat([(latent - again).pow(2).mean((1, 2, 3)) for latent, again in latents])
    decode = builder.adapter.decode_latents
    level = torch.cat([psnr(decode(latent), decode(again)) for latent, again in latents]).mean()
    relative = (error.mean() / power.mean()).sqrt()
    return GridQuality(steps, relative.item(), level.item(), seconds)


def _regenerated(
    builder: CacheBuilder, pairs: list[Pair], steps: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Latents (B, C, H, W) and the re-generated ones, of one shape at a time."""
    by_size = defaultdict(list)
    for pair in pairs:
        by_size[pair.bucket].append(pair)
    for same_size in by_size.values():
        for chunk in chunks(same_size, max(1, builder.samples // 2)):
            pictures = [pair.pictures[0] for pair in chunk]
            reference = builder.reference(pictures, [pair.prompt for pair in chunk])
            latent = builder.cache.latents.get("latent", pictures).to(builder.adapter.device)
            process = builder.adapter.process
            grid = process.grid(steps, latent.shape[1:])
            points = invert(reference, process, latent, grid, builder.config.inversion_corrections)
            end = next(islice(points, steps - 1, None)).x
            yield latent, regenerate(reference, process, end, grid)


def psnr(first: Tensor, second: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of images (B, 3, h, w) in -1..1: (B,), 100 at most."""
    error = ((first - second) / 2).pow(2).mean((1, 2, 3))
    return -10 * error.clamp(min=1e-10).log10()
