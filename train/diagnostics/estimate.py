"""What a run would compute and how long it would take, before anything is written.

Shapes: B pairs, S sides, K points.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.io.files import free_bytes
from invdpo.train.batches import BatchSampler
from invdpo.train.cache.sizes import Lacking, lacking
from invdpo.train.cache.trajectories import Cache, open_cache
from invdpo.train.data import Pairs
from invdpo.train.data.dataset import FocusBoxes
from invdpo.train.diagnostics.timing import Measured, measure
from invdpo.train.distributed import pick_device
from invdpo.train.inversion import calls
from invdpo.train.metrics import VALIDATION_POINTS
from invdpo.train.models import load_adapter
from invdpo.train.splits import open_data, read_splits, resolve_config

MEASURED = 4
"""Pairs whose images are encoded to learn how long that takes."""


@dataclass(frozen=True)
class Estimate:
    """The result of a dry run. Images are counted, not decoded; shards are not verified."""

    pairs: int
    validation_pairs: int
    skipped: dict[str, int]
    """Rows left out, by reason."""
    prompts: int
    images: int
    cache: str
    """Folder of the cache."""
    cached_bytes: int
    """Size of the stores that this run would use, with other datasets' rows in them."""
    lacking: Lacking
    free_bytes: int
    cache_forwards: int
    """UNet sample-forwards of phase one."""
    train_forwards: int
    """UNet sample-forwards of training steps, most of them with a backward."""
    validation_forwards: int
    measured: Measured | None
    """None when the first pairs' images can't be read."""
    cache_seconds: float | None
    train_seconds: float | None
    """Validation included; on one process of this machine."""

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return asdict(self)


def estimate(
    dataset: str | Path,
    output: Path,
    config: TrainConfig,
    *,
    cache_dir: Path | None = None,
    focus_boxes: FocusBoxes | None = None,
) -> Estimate:
    """The work that `train` with these arguments would do, by the same code.

    Times come from a few real calls. Nothing is written but a temporary folder.
    Raises as `train` does before it starts.
    """
    adapter = load_adapter(config, pick_device(config.device))
    config = resolve_config(config, adapter)
    data = open_data(dataset, config, focus_boxes)
    splits = read_splits(data, adapter, config)
    pairs = {name: split.pairs for name, split in splits.items()}
    cache = open_cache(cache_dir or output.parent / "trajectories", adapter, config)
    need = lacking(cache, adapter, config, pairs)
    sampler = BatchSampler(cache, config)
    samples = min(config.unet_batch_size, config.batch_size * sampler.samples_per_pair)
    measured = measure(adapter, config, data, pairs["train"][:MEASURED], samples)
    forwards = _forwards(cache, config, sampler, need, len(pairs["validation"]))
    seconds = _seconds(measured, need, forwards, sampler.live_reference)
    return Estimate(
        **_counts(splits),
        cache=str(cache.root),
        cached_bytes=sum(store.size() for store in cache.stores()),
        lacking=need,
        free_bytes=free_bytes(cache.root),
        cache_forwards=forwards[0],
        train_forwards=forwards[1],
        validation_forwards=forwards[2],
        measured=measured,
        cache_seconds=seconds and round(seconds[0], 3),
        train_seconds=seconds and round(seconds[1], 3),
    )


def _counts(splits: dict[str, Pairs]) -> dict[str, Any]:
    pairs = [pair for split in splits.values() for pair in split.pairs]
    return {
        "pairs": len(splits["train"].pairs),
        "validation_pairs": len(splits["validation"].pairs),
        "skipped": dict(sum((split.skipped for split in splits.values()), Counter[str]())),
        "prompts": len({pair.prompt for pair in pairs}),
        "images": len({image for pair in pairs for image in pair.images}),
    }


def _forwards(
    cache: Cache, config: TrainConfig, sampler: BatchSampler, need: Lacking, validation: int
) -> tuple[int, int, int]:
    """UNet sample-forwards of phase one, of training steps, and of validation."""
    per_point = sampler.objective.sides * (2 if sampler.live_reference else 1)
    step_points = config.batch_size * config.gradient_accumulation_steps * sampler.points
    validations = -(-config.max_steps // config.validate_every)
    validation_points = validation * min(VALIDATION_POINTS, sampler.available_points)
    return (
        need.trajectories * forwards_per_trajectory(cache, config),
        config.max_steps * step_points * per_point,
        validations * validation_points * per_point,
    )


def forwards_per_trajectory(cache: Cache, config: TrainConfig) -> int:
    """UNet sample-forwards that fill one trajectory of the cache; `config` is resolved."""
    if config.noise != "inversion":
        return cache.kept
    halves = 1 if config.inversion_guidance_scale == 1 else 2
    fresh = cache.kept if config.fresh_noise else 0
    return halves * calls(cache.steps, config.inversion_corrections) + fresh


def _seconds(
    measured: Measured | None, need: Lacking, forwards: tuple[int, int, int], live: bool
) -> tuple[float, float] | None:
    if measured is None:
        return None
    inversion, train, validation = forwards
    with_backward = train // 2 if live else train
    without = train - with_backward + validation
    encoding = need.images * measured.encode_seconds
    steps = with_backward * measured.step_seconds + without * measured.forward_seconds
    return encoding + inversion * measured.forward_seconds, steps
