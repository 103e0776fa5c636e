"""What a run would do, told before anything is computed or written.

Shapes: B pairs, S sides, K points.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from invdpo.schemas.config.train import TrainConfig
from invdpo.train.batches import BatchSampler
from invdpo.train.cache.sizes import Lacking, free_bytes, lacking
from invdpo.train.cache.trajectories import Cache, open_cache
from invdpo.train.data import Pairs
from invdpo.train.diagnostics.timing import Measured, measure
from invdpo.train.distributed import pick_device
from invdpo.train.loop import VALIDATION_POINTS
from invdpo.train.models import load_adapter
from invdpo.train.splits import open_data, read_splits, resolve_config

MEASURED = 4
"""Pairs whose pictures are encoded to learn how long that takes."""


@dataclass(frozen=True)
class Estimate:
    """A dry run's findings. Pictures are counted, not decoded; cached shards are not verified."""

    pairs: int
    validation_pairs: int
    skipped: dict[str, int]
    """Rows left out, by reason."""
    prompts: int
    images: int
    cache: str
    """Folder of the cache."""
    cached_bytes: int
    """What the stores hold that this run would use, other data sets' rows included."""
    lacking: Lacking
    free_bytes: int
    cache_forwards: int
    """UNet sample-forwards of phase one."""
    train_forwards: int
    """UNet sample-forwards of training steps, most of them with a backward."""
    validation_forwards: int
    measured: Measured | None
    """None when the first pairs' pictures can't be read."""
    cache_seconds: float | None
    train_seconds: float | None
    """Validation included; on one process of this machine."""

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return asdict(self)


def estimate(
    dataset: str | Path, output: Path, config: TrainConfig, *, cache_dir: Path | None = None
) -> Estimate:
    """The work that `train` with these arguments would have, by the same path.

    Times come from a few real calls. Nothing is written but a temporary folder.
    Raises as `train` does before it starts.
    """
    adapter = load_adapter(config, pick_device(config.device))
    config = resolve_config(config, adapter)
    data = open_data(dataset, config)
    found = read_splits(data, adapter, config)
    cache = open_cache(cache_dir or output.parent / "trajectories", adapter, config)
    splits = {split: some.pairs for split, some in found.items()}
    need = lacking(cache, adapter, config, splits)
    sampler = BatchSampler(cache, config, adapter.alpha_bar)
    width = sampler.objective.sides * sampler.points
    samples = min(config.unet_batch_size, config.batch_size * width)
    measured = measure(adapter, config, data, splits["train"][:MEASURED], samples)
    work = _forwards(cache, config, sampler, need, len(splits["validation"]))
    times = _seconds(measured, need, work, sampler.objective.live_reference)
    return Estimate(
        **_counts(found),
        cache=str(cache.root),
        cached_bytes=sum(store.size() for store in cache.stores()),
        lacking=need,
        free_bytes=free_bytes(cache.root),
        cache_forwards=work[0],
        train_forwards=work[1],
        validation_forwards=work[2],
        measured=measured,
        cache_seconds=times and round(times[0], 3),
        train_seconds=times and round(times[1], 3),
    )


def _counts(found: dict[str, Pairs]) -> dict[str, Any]:
    pairs = [pair for some in found.values() for pair in some.pairs]
    skipped: dict[str, int] = {}
    for some in found.values():
        for reason, count in some.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    return {
        "pairs": len(found["train"].pairs),
        "validation_pairs": len(found["validation"].pairs),
        "skipped": skipped,
        "prompts": len({pair.prompt for pair in pairs}),
        "images": len({image for pair in pairs for image in pair.images}),
    }


def _forwards(
    cache: Cache, config: TrainConfig, sampler: BatchSampler, need: Lacking, validation: int
) -> tuple[int, int, int]:
    """UNet sample-forwards of phase one, of training steps, and of looks at validation pairs."""
    halves = 1 if config.inversion_guidance_scale == 1 else 2
    each = sampler.objective.sides * (2 if sampler.objective.live_reference else 1)
    step = config.batch_size * config.gradient_accumulation_steps * sampler.points
    looks = -(-config.max_steps // config.validate_every)
    judged = min(VALIDATION_POINTS, sampler.places)
    mixed = cache.kept if config.fresh_noise else 0
    return (
        need.trajectories * (halves * (cache.grid.steps + 1) + mixed),
        config.max_steps * step * each,
        looks * validation * judged * each,
    )


def _seconds(
    measured: Measured | None, need: Lacking, work: tuple[int, int, int], live: bool
) -> tuple[float, float] | None:
    if measured is None:
        return None
    once, train, validation = work
    graphs = train // 2 if live else train
    forwards = train - graphs + validation
    encoding = need.images * measured.encode_seconds
    steps = graphs * measured.step_seconds + forwards * measured.forward_seconds
    return encoding + once * measured.forward_seconds, steps
