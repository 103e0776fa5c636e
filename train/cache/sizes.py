"""What a cache lacks, how many bytes that will take, and whether the disk has room for them.

Shapes: M points kept, C x H x W the latent.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import WorkspaceError
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.files import ensure_writable, existing_parent, free_bytes
from invdpo.schemas.io.text import format_bytes
from invdpo.train.cache.trajectories import Cache
from invdpo.train.data import Pair
from invdpo.train.data.buckets import framing
from invdpo.train.data.pairs import Walk
from invdpo.train.inversion import calls
from invdpo.train.models import Conditioning, ModelAdapter

PROMPTS = 256
"""Prompts encoded together, and held by a shard."""

SHARD_BYTES = 2**28
"""About the most that a shard of trajectories holds, and that an interruption loses."""

ID_BYTES, TENSOR_BYTES, HEADER_BYTES = 38, 80, 105
"""In a shard's header: a row's id, a tensor, and the rest together with the verified.txt line."""


Shape = tuple[int, ...]


@dataclass(frozen=True)
class Lacking:
    """Rows that have to be made, and the bytes they will take on disk."""

    prompts: int
    images: int
    trajectories: int
    """(image, prompt) to be inverted, or noised with the image's own noise."""
    forwards: int
    """UNet sample-forwards that these trajectories take."""
    bytes: int
    prompt_bytes: int
    """Those of prompts among them."""


def forwards_per_trajectory(cache: Cache, config: TrainConfig, *, straight: bool) -> int:
    """UNet sample-forwards that fill one trajectory of the cache; `config` is resolved.

    `straight` is one along a known noise, which needs no inversion.
    """
    if straight:
        return cache.kept
    halves = 1 if config.inversion_guidance_scale == 1 else 2
    fresh = cache.kept if config.fresh_noise else 0
    return halves * calls(cache.steps, config.inversion_corrections) + fresh


def trajectory_forwards(cache: Cache, config: TrainConfig, walks: Iterable[Walk]) -> int:
    """Those of all these trajectories, cached or not."""
    straight = (config.noise == "fresh" or walk.seed is not None for walk in walks)
    return sum(forwards_per_trajectory(cache, config, straight=one) for one in straight)


def lacking(
    cache: Cache,
    adapter: ModelAdapter,
    config: TrainConfig,
    splits: dict[str, list[Pair]],
    encoded: Conditioning | None = None,
) -> Lacking:
    """What filling the cache would add if all shards are sound and all images readable.

    When prompts are missing, one is encoded to learn their size, unless `encoded` has the shapes.
    """
    pairs = [pair for split in splits.values() for pair in split]
    shapes = {i: adapter.latent_shape(pair.bucket) for pair in pairs for i in pair.pictures}
    walks = {walk.id: walk for pair in pairs for walk in pair.walks}
    texts = {content_id(prompt): prompt for prompt in {None, *(pair.prompt for pair in pairs)}}
    prompts = cache.prompts.lacks(texts)
    images = cache.latents.lacks(shapes)
    if prompts and encoded is None:
        encoded = _middle_prompt([texts[i] for i in prompts], adapter)
    size = text = _bytes(len(prompts), PROMPTS, encoded) if prompts and encoded else 0
    item = getattr(torch, config.cache_dtype).itemsize
    for shape, count in Counter(shapes[i] for i in images).items():
        conditioning = adapter.size_conditioning([framing((1, 1), (1, 1))])
        size += _bytes(count, images_per_call(config), conditioning, 4 * math.prod(shape))
    missing: set[str] = set()
    # beside x there are two errors (one with fresh noise) and each point's index; of bytes there
    # are `latent` for each element, `position` for each position, and `extra` for each point
    errors = 1 if config.fresh_noise or config.noise != "inversion" else 2
    for store, latent, position, extra, tensors in (
        (cache.trajectories, item, 0, 4 * errors + 4, errors + 2),
        (cache.targets, item, 0, 0, 1),
        (cache.error_maps, 0, 4, 0, 1),
    ):
        ids = store.lacks(walks) if store else []
        missing.update(ids)
        for shape, count in Counter(shapes[walks[i].picture] for i in ids).items():
            point = latent * math.prod(shape) + position * math.prod(shape[1:]) + extra
            row = cache.kept * point
            size += _total(count, row, trajectories_per_call(config, cache.kept, shape), tensors)
    forwards = trajectory_forwards(cache, config, (walks[i] for i in missing))
    return Lacking(len(prompts), len(images), len(missing), forwards, size, text)


def ensure_space(need: Lacking, cache: Cache, output: Path, written: int) -> None:
    """Raise `WorkspaceError`, before anything is computed, when there is no room for all.

    `need` goes to the cache, and `written` bytes of weights and states to `output`.
    """
    if need.bytes:
        ensure_writable(cache.root)
    free = free_bytes(cache.root)
    left = written if _disk(cache.root) == _disk(output) else 0
    if need.bytes and need.bytes + left > free:
        also = (
            f" ({format_bytes(left)} of them are reserved for weights and states)" if left else ""
        )
        raise WorkspaceError(
            f"{cache.root}: the trajectories of {need.trajectories:,} images need "
            f"{format_bytes(need.bytes)}, and {format_bytes(free)} are free{also}. Free space, "
            f"give another --cache-dir, store fewer points (--cache-points, now {cache.kept} "
            "each), or smaller ones (--cache-dtype bfloat16)."
        )
    free = free_bytes(output)
    if written > free:
        raise WorkspaceError(
            f"{output}: the weights and states of this training need {format_bytes(written)}, "
            f"and {format_bytes(free)} are free. Free space, or give another --output."
        )


def _disk(folder: Path) -> int:
    return existing_parent(folder).stat().st_dev


def images_per_call(config: TrainConfig) -> int:
    """Images in a call of the VAE, and in a shard."""
    return max(1, config.unet_batch_size // 4)


def trajectories_per_call(config: TrainConfig, kept: int, shape: Shape) -> int:
    """Trajectories in a call, which holds both halves of guidance, and in a shard."""
    halves = 1 if config.inversion_guidance_scale == 1 else 2
    fitting = SHARD_BYTES // (4 * kept * math.prod(shape))
    return max(1, min(config.unet_batch_size // halves, fitting))


def _middle_prompt(prompts: list[str | None], adapter: ModelAdapter) -> Conditioning:
    """One row of conditioning; where it is as long as a prompt, that of one of middle length."""
    prompts.sort(key=lambda prompt: len(prompt or ""))
    return adapter.encode_prompts([prompts[len(prompts) // 2] if adapter.lengths_vary else None])


def _bytes(rows: int, at_once: int, sample: Conditioning, latent: int = 0) -> int:
    """Bytes of rows that hold conditioning, of which `one` row is given, and `latent` bytes."""
    row = sum(value.nbytes for value in sample.values()) + latent
    return _total(rows, row, at_once, len(sample) + (1 if latent else 0))


def _total(rows: int, row: int, at_once: int, tensors: int) -> int:
    shards = -(-rows // at_once)
    return rows * (row + ID_BYTES) + shards * (HEADER_BYTES + tensors * TENSOR_BYTES)
