"""Is the grid fine enough? Invert some pictures, re-generate them from their noise, and compare.

Shapes: B pictures, C x H x W the latent.
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
from invdpo.train.schedule import Grid, make_grid
from invdpo.train.splits import open_data, read_splits, resolve_config

FINE = 30.0
"""Decibels from which the re-generated picture is hard to tell from the original."""
GAIN = 1.0
"""Decibels that a grid of twice the steps should win to be worth its cost."""


@dataclass(frozen=True)
class Fineness:
    """How well one grid re-generates the pictures."""

    steps: int
    """N."""
    latent_error: float
    """Root of mean |latent - again|² over mean |latent|², of all pictures together."""
    psnr: float
    """Decibels of decoded pictures against the VAE's own round trip, mean over pictures."""
    seconds: float
    """A picture, there and back."""


@dataclass(frozen=True)
class Check:
    """The configured grid beside a coarser and a finer one."""

    images: int
    guidance: float
    configured: int
    """N of the configuration."""
    rows: tuple[Fineness, ...]
    advice: str

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        rows = [asdict(row).items() for row in self.rows]
        finite = [{k: v if math.isfinite(v) else None for k, v in row} for row in rows]
        return {**asdict(self), "rows": finite}


def check_inversion(dataset: str | Path, config: TrainConfig, images: int = 8) -> Check:
    """Judge N/2, N and 2N on the first winners of `dataset`; nothing is written beside it.

    Raises as `train` does; `DataError` when no picture can be read.
    """
    adapter = load_adapter(config, pick_device(config.device))
    config = resolve_config(config, adapter)
    steps = config.num_inversion_steps
    make_grid(adapter.alpha_bar, steps)  # refuses a grid that the model doesn't have
    data = open_data(dataset, config)
    found = read_splits(data, adapter, config)["train"].pairs
    pairs = list({pair.chosen: pair for pair in found}.values())[:images]
    with TemporaryDirectory(prefix="invdpo-") as folder:
        filler = CacheBuilder(adapter, config, open_cache(Path(folder), adapter, config))
        filler.encode(data, {"train": pairs})
        pairs = [p for p in pairs if not filler.cache.unreadable.keys() & {p.chosen}]
        if not pairs:
            raise DataError(f"{dataset}: no readable picture in the train split to check with.")
        sizes = sorted({max(1, steps // 2), steps, min(2 * steps, len(adapter.alpha_bar) - 1)})
        rows = tuple(_judge(filler, pairs, make_grid(adapter.alpha_bar, n)) for n in sizes)
    scale = config.inversion_guidance_scale
    return Check(len(pairs), scale, steps, rows, advice(rows, steps, scale))


def advice(rows: Sequence[Fineness], steps: int, guidance: float) -> str:
    """One sentence on what to do with N."""
    level = {row.steps: row.psnr for row in rows}
    now, finest = level[steps], max(level)
    if not all(map(math.isfinite, level.values())):
        return "The pictures that come back are not finite: try dtype float32."
    if now >= FINE:
        coarser = [n for n in level if n < steps and level[n] >= FINE]
        less = f"; {coarser[0]} would do too, at half the cost" if coarser else ""
        return f"N = {steps} is fine enough ({now:.1f} dB, {FINE:.0f} or more is good){less}."
    if finest == steps or level[finest] < now + GAIN:
        if guidance != 1:
            return "Finer grids hardly help: bring inversion_guidance_scale nearer to 1."
        return f"N = {steps} re-generates poorly ({now:.1f} dB), and finer grids hardly better."
    enough = "and is fine enough" if level[finest] >= FINE else "though that is still coarse"
    better = f"num_inversion_steps {finest} reaches {level[finest]:.1f}, {enough}"
    return f"N = {steps} is coarse ({now:.1f} dB, {FINE:.0f} or more is good): {better}."


def _judge(filler: CacheBuilder, pairs: list[Pair], grid: Grid) -> Fineness:
    began = time.perf_counter()
    found = list(_regenerated(filler, pairs, grid))
    seconds = (time.perf_counter() - began) / len(pairs)
    power = torch.cat([latent.pow(2).mean((1, 2, 3)) for latent, _ in found])
    error = torch.cat([(latent - again).pow(2).mean((1, 2, 3)) for latent, again in found])
    decode = filler.adapter.decode_latents
    level = torch.cat([psnr(decode(latent), decode(again)) for latent, again in found]).mean()
    relative = (error.mean() / power.mean()).sqrt()
    return Fineness(grid.steps, relative.item(), level.item(), seconds)


def _regenerated(
    filler: CacheBuilder, pairs: list[Pair], grid: Grid
) -> Iterator[tuple[Tensor, Tensor]]:
    """Latents (B, C, H, W) and what comes back, of one shape at a time."""
    shapes = defaultdict(list)
    for pair in pairs:
        shapes[pair.bucket].append(pair)
    for alike in shapes.values():
        for some in chunks(alike, max(1, filler.samples // 2)):
            pictures = [pair.pictures[0] for pair in some]
            reference = filler.reference(pictures, [pair.prompt for pair in some])
            latent = filler.cache.latents.get("latent", pictures).to(filler.adapter.device)
            end = next(islice(invert(reference, latent, grid), grid.steps - 1, None)).x
            yield latent, regenerate(reference, end, grid)


def psnr(picture: Tensor, other: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of pictures (B, 3, h, w) in -1..1: (B,), 100 at most."""
    error = ((picture - other) / 2).pow(2).mean((1, 2, 3))
    return -10 * error.clamp(min=1e-10).log10()
