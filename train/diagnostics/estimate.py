"""What a run would compute and how long it would take, before anything is written.

Shapes: B pairs, S sides, K points.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError, ModelError
from invdpo.schemas.io.files import free_bytes
from invdpo.schemas.io.model_folder import find_folder
from invdpo.train.batches import BatchSampler
from invdpo.train.cache.sizes import Lacking, lacking
from invdpo.train.cache.trajectories import open_cache
from invdpo.train.data import Pairs
from invdpo.train.data.dataset import FocusBoxes
from invdpo.train.diagnostics.counting import META
from invdpo.train.diagnostics.requirements import (
    Requirements,
    require,
    without_weights,
)
from invdpo.train.diagnostics.timing import Measured, measure
from invdpo.train.distributed import pick_device
from invdpo.train.gradient import forwards_per_sample
from invdpo.train.metrics import VALIDATION_POINTS
from invdpo.train.models import ModelAdapter, load_adapter
from invdpo.train.models.latent_model import LatentModel
from invdpo.train.optim.optimizers import check_package
from invdpo.train.splits import open_data, read_splits, resolve_config

MEASURED = 4
"""Pairs whose images are encoded to learn how long that takes."""

HINT = (
    "\nA dry run needs no weights: give a folder with model_index.json, scheduler_config.json of "
    "the scheduler and config.json of each other component."
)
"""For a model on the Hub that can't be had."""


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
    """None when calls were counted, or the first pairs' images can't be read."""
    required: Requirements | None
    """Counted where weights are missing or a rate is given; None when calls were measured."""
    without_weights: list[str]
    """The components that have configurations alone."""
    cache_flops: float | None
    train_flops: float | None
    """Of both phases, where they were counted; checkpointing included."""
    tflops: float | None
    """The rate that seconds are derived from, in TFLOP/s."""
    cache_seconds: float | None
    train_seconds: float | None
    """Validation included; on one process of this machine, or at the given rate."""

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
    tflops: float | None = None,
) -> Estimate:
    """The work that `train` with these arguments would do, by the same code.

    Times come from a few real calls. Where a component has no weights, or `tflops` is given, the
    rate in TFLOP/s of another machine, work and memory are counted from the configurations, and
    times follow from that rate. Nothing is written but a temporary folder.
    Raises as `train` does before it starts.
    """
    adapter = load(config, tflops)
    config = resolve_config(config, adapter)
    data = open_data(dataset, config, focus_boxes)
    splits = read_splits(data, adapter, config)
    pairs = {name: split.pairs for name, split in splits.items()}
    cache = open_cache(cache_dir or output.parent / "trajectories", adapter, config)
    sampler = BatchSampler(cache, config)
    samples = sampler.samples_per_graph
    missing, required, measured = without_weights(adapter), None, None
    if isinstance(adapter, LatentModel) and (missing or tflops):
        required = require(adapter, config, pairs["train"], samples)
        need = lacking(cache, adapter, config, pairs, adapter.prompt_shapes(required.tokens))
    else:
        need = lacking(cache, adapter, config, pairs)
        measured = measure(adapter, config, data, pairs["train"][:MEASURED], samples)
    beside = forwards_per_sample(sampler, scores_first=config.strategy == "fsdp") - 1
    forwards = _forwards(config, sampler, need, len(pairs["validation"]), beside)
    costs = _costs(measured, required, need, config.gradient_checkpointing)
    spent = _spent(costs, forwards, beside) if costs else (None, None)
    rate = 1.0 if measured else tflops and tflops * 1e12
    cache_time, train_time = (cost and rate and round(cost / rate, 3) for cost in spent)
    cache_flops, train_flops = (cost if required else None for cost in spent)
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
        required=required,
        without_weights=missing,
        cache_flops=cache_flops,
        train_flops=train_flops,
        tflops=tflops,
        cache_seconds=cache_time,
        train_seconds=train_time,
    )


def load(config: TrainConfig, tflops: float | None) -> ModelAdapter:
    """The model; of one on the Hub the configurations alone where a rate is given.

    Raises `ModelError` where it can't be had, `ConfigError` where it can't be counted, and
    `PluginError` for an optimiser without its package.
    """
    if tflops is None:  # what is counted may be for another machine
        check_package(config.optimizer)
    device = META if tflops else pick_device(config.device)
    try:
        adapter = load_adapter(config, device, weights=tflops is None)
    except ModelError as error:
        raise ModelError(f"{error}{HINT if find_folder(config.model) is None else ''}") from None
    if tflops and not isinstance(adapter, LatentModel):
        raise ConfigError("--tflops: models of a plug-in's family can't be counted. Leave it out.")
    return adapter


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
    config: TrainConfig, sampler: BatchSampler, need: Lacking, validation: int, beside: int
) -> tuple[int, int, int]:
    """UNet sample-forwards of phase one, of training steps, and of validation.

    A step has `beside` forwards of each sample beside the one with a backward.
    """
    samples = config.batch_size * config.gradient_accumulation_steps * sampler.samples_per_pair
    per_point = sampler.objective.sides * (1 + sampler.live_reference)
    validations = -(-config.max_steps // config.validate_every)
    validation_points = validation * min(VALIDATION_POINTS, sampler.available_points)
    return (
        need.forwards,
        config.max_steps * samples * (1 + beside),
        validations * validation_points * per_point,
    )


def _costs(
    measured: Measured | None, required: Requirements | None, need: Lacking, checkpointing: bool
) -> tuple[float, float, float] | None:
    """Of all encodings, of a sample without a graph and of one with a backward.

    In seconds where they were measured, else in FLOPs; None where neither is known.
    """
    if measured:
        encoding = need.images * measured.encode_seconds
        return encoding, measured.forward_seconds, measured.step_seconds
    if required:
        encoding = need.images * required.image_flops + need.prompts * required.prompt_flops
        again = required.forward_flops if checkpointing else 0
        return encoding, required.forward_flops, required.step_flops + again
    return None


def _spent(
    costs: tuple[float, float, float], forwards: tuple[int, int, int], beside: int
) -> tuple[float, float]:
    """On both phases, in the unit of the costs."""
    encoding, forward, step = costs
    inversion, train, validation = forwards
    with_backward, without = split_steps(train, beside)
    without += validation
    return encoding + inversion * forward, with_backward * step + without * forward


def split_steps(forwards: int, beside: int) -> tuple[int, int]:
    """Those of training's forwards that have a backward, and those without.

    `beside` is the number of the latter for each of the former: of a reference, or for weights.
    """
    with_backward = forwards // (1 + beside)
    return with_backward, forwards - with_backward
