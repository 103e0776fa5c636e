"""What a cache lacks for some pairs, how many bytes that will be, and whether the disk has them.

Shapes: M points kept, C x H x W the latent.
"""

from __future__ import annotations

import math
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import WorkspaceError
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.text import format_bytes
from invdpo.train.cache.trajectories import Cache, trajectory_id
from invdpo.train.data import Pair
from invdpo.train.data.buckets import framing
from invdpo.train.models import Conditioning, ModelAdapter

PROMPTS = 256
"""Prompts encoded together, and held by a shard."""

SHARD_BYTES = 2**28
"""About the most that a shard of trajectories holds, and that an interruption loses."""

RESERVE = 2**28
"""Bytes left free for weights and metrics."""

ID_BYTES, TENSOR_BYTES, HEADER_BYTES = 38, 80, 105
"""A row's name and a tensor in a shard's header; the rest of it, with its line in verified.txt."""


Shape = tuple[int, ...]


@dataclass(frozen=True)
class Lacking:
    """Rows that are to be made, and what they will take on disk."""

    prompts: int
    images: int
    trajectories: int
    """Of (picture, prompt), those to be inverted."""
    bytes: int


def lacking(
    cache: Cache, adapter: ModelAdapter, config: TrainConfig, splits: dict[str, list[Pair]]
) -> Lacking:
    """What filling the cache would add, taking shards for sound and pictures for readable.

    When prompts are missing the text encoder is asked about one, to learn their size.
    """
    pairs = [pair for split in splits.values() for pair in split]
    shapes = {i: adapter.latent_shape(pair.bucket) for pair in pairs for i in pair.pictures}
    walks = {trajectory_id(i, pair.prompt): i for pair in pairs for i in pair.pictures}
    prompts = cache.prompts.lacks(content_id(p) for p in {None, *(pair.prompt for pair in pairs)})
    images = cache.latents.lacks(shapes)
    size = _bytes(len(prompts), PROMPTS, adapter.encode_prompts([None])) if prompts else 0
    item = getattr(torch, config.cache_dtype).itemsize
    for shape, count in Counter(shapes[i] for i in images).items():
        about = adapter.about([framing((1, 1), (1, 1))])
        size += _bytes(count, images_at_once(config), about, 4 * math.prod(shape))
    missing: set[str] = set()
    # beside x stand two errors (one with fresh noise) and each point's place; targets stand alone
    errors = 1 if config.fresh_noise else 2
    for store, beside, tensors in (
        (cache.trajectories, 4 * errors + 4, errors + 2),
        (cache.targets, 0, 1),
    ):
        found = store.lacks(walks) if store else []
        missing.update(found)
        for shape, count in Counter(shapes[walks[i]] for i in found).items():
            row = cache.kept * (item * math.prod(shape) + beside)
            size += _total(count, row, walks_at_once(config, cache.kept, shape), tensors)
    return Lacking(len(prompts), len(images), len(missing), size)


def ensure_space(need: Lacking, cache: Cache) -> None:
    """Raise `WorkspaceError`, before anything is computed, when the disk can't hold what's missing.

    A quarter of a gigabyte is kept free beside it.
    """
    free = free_bytes(cache.root)
    if not need.bytes or need.bytes + RESERVE <= free:
        return
    raise WorkspaceError(
        f"{cache.root}: the trajectories of {need.trajectories:,} pictures need "
        f"{format_bytes(need.bytes)}, and {format_bytes(free)} are free "
        f"({format_bytes(RESERVE)} of them are left for weights). "
        "Free space, name another --cache-dir, keep fewer points "
        f"(--cache-points, now {cache.kept} each), or smaller ones (--cache-dtype bfloat16)."
    )


def free_bytes(folder: Path) -> int:
    """Free bytes of the disk that `folder` lies on, or would."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def images_at_once(config: TrainConfig) -> int:
    """Pictures in a call of the VAE, and in a shard."""
    return max(1, config.unet_batch_size // 4)


def walks_at_once(config: TrainConfig, kept: int, shape: Shape) -> int:
    """Trajectories in a call, both halves of guidance in it, and in a shard."""
    halves = 1 if config.inversion_guidance_scale == 1 else 2
    fitting = SHARD_BYTES // (4 * kept * math.prod(shape))
    return max(1, min(config.unet_batch_size // halves, fitting))


def _bytes(rows: int, at_once: int, told: Conditioning, beside: int = 0) -> int:
    """Bytes of rows that hold `told`, one row of it given, and a tensor of `beside` bytes."""
    row = sum(value.nbytes for value in told.values()) + beside
    return _total(rows, row, at_once, len(told) + (1 if beside else 0))


def _total(rows: int, row: int, at_once: int, tensors: int) -> int:
    shards = -(-rows // at_once)
    return rows * (row + ID_BYTES) + shards * (HEADER_BYTES + tensors * TENSOR_BYTES)
