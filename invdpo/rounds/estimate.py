"""What rounds would generate, compute and store, before anything is written."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from invdpo.curate.diagnostics.timing import stored_bytes
from invdpo.curate.generators.guidance import passes
from invdpo.curate.generators.sizes import sizes
from invdpo.rounds.checks import open_record, require_judges, require_prompts
from invdpo.rounds.round_plan import RoundPlan, weights_path
from invdpo.schemas.config import Config
from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.io.files import free_bytes
from invdpo.train.batches import BatchSampler
from invdpo.train.cache.sizes import forwards_per_trajectory
from invdpo.train.cache.trajectories import open_cache
from invdpo.train.data import Pair
from invdpo.train.data.buckets import Size, framing
from invdpo.train.diagnostics import timing
from invdpo.train.diagnostics.estimate import load, split_steps
from invdpo.train.diagnostics.requirements import (
    LETTERS,
    Requirements,
    count_forward,
    require,
    without_weights,
)
from invdpo.train.gradient import forwards_per_sample
from invdpo.train.models import ModelAdapter
from invdpo.train.models.latent_model import LatentModel
from invdpo.train.splits import resolve_config

TOKENS = 75
"""Of a prompt, where texts vary in length: nothing is known of the prompts yet."""


@dataclass(frozen=True)
class RoundsEstimate:
    """Of the rounds that are still to be done. At most one pair a prompt is assumed."""

    rounds: int
    images: int
    """Candidates and images for validation."""
    forwards: int
    """UNet sample-forwards of generating, phase one and training."""
    training_forwards: int
    """Those of them in training steps, most of them with a backward."""
    seconds: float | None
    """Of the UNet alone, from a few real calls here or at the given rate: judges and decoding come
    on top."""
    bytes: int
    """On disk: images, trajectories and weights."""
    free_bytes: int
    required: Requirements | None = None
    """Of one training, where weights are missing or a rate is given."""
    without_weights: list[str] = field(default_factory=list)
    """The components that have configurations alone."""
    flops: float | None = None
    """Of the UNet, where they were counted; checkpointing included."""
    tflops: float | None = None
    """The rate that seconds are derived from, in TFLOP/s."""

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return asdict(self)


@dataclass(frozen=True)
class _Work:
    """What is to be done, in images and sample-forwards."""

    images: int
    generating: int
    walks: int
    """Images that phase one takes through the UNet."""
    phase_one: int
    steps: int
    kept: int
    """Points of each walk that are stored."""
    beside: int
    """Forwards of a step's sample beside the one with a backward."""


@dataclass(frozen=True)
class _Costs:
    """Of a sample's call of the UNet: in seconds where they were measured, else in FLOPs."""

    drawing: float
    """At the sizes of the images, their mean."""
    forward: float
    """At the size of training, without a graph."""
    step: float
    """Forward and backward, with what checkpointing computes again."""
    required: Requirements | None = None
    """Where they were counted."""


def estimate(
    root: Path,
    config: Config,
    tflops: float | None = None,
    *,
    change_options: bool = False,
    command: str | None = None,
) -> RoundsEstimate:
    """The work that `improve` would do. Raises as it does before the first image is made.

    Times come from a few real calls. Where a component has no weights, or `tflops` is given, the
    rate in TFLOP/s of another machine, work and memory are counted from the configurations.
    """
    plan = RoundPlan(root, config)
    record = open_record(plan, change_options=change_options)
    require_judges(plan, record, command=command, offline=True)
    require_prompts(plan, record)
    done = len(record.results)
    left = max(0, config.improve.rounds + 1 - max(done, 1))
    if done > config.improve.rounds:
        return RoundsEstimate(0, 0, 0, 0, 0.0, 0, free_bytes(root))
    model = {"model": weights_path(config.generate.model), "revision": config.generate.revision}
    adapter = load(config.train.model_copy(update=model), tflops)
    training = resolve_config(config.train.model_copy(update=model), adapter)
    models = [n for n in range(done, config.improve.rounds + 1) if plan.evaluates(n)]
    work = _work(plan, adapter, training, left, models=len(models))
    own, trained = adapter.side, training.resolution or adapter.side
    size, wanted = (trained, trained), sizes(config.generate) or [(own, own)]
    missing = without_weights(adapter)
    if isinstance(adapter, LatentModel) and (missing or tflops):
        costs = _counted(adapter, training, size, wanted)
    else:
        costs = _measured(adapter, training, size, wanted)
    with_backward, without = split_steps(work.steps, work.beside)
    spent = work.generating * costs.drawing
    spent += (work.phase_one + without) * costs.forward + with_backward * costs.step
    rate = tflops and tflops * 1e12 if costs.required else 1.0
    latent = math.prod(adapter.latent_shape(size)) * getattr(torch, training.cache_dtype).itemsize
    stored = stored_bytes(work.images, wanted) + work.walks * work.kept * latent
    if training.tuning == "full":
        stored += left * 4 * 4 * _parameters(adapter, costs.required)
    return RoundsEstimate(
        rounds=left,
        images=work.images,
        forwards=work.generating + work.phase_one + work.steps,
        training_forwards=work.steps,
        seconds=spent / rate if rate else None,
        bytes=int(stored),
        free_bytes=free_bytes(root),
        required=costs.required,
        without_weights=missing,
        flops=spent if costs.required else None,
        tflops=tflops,
    )


def _work(
    plan: RoundPlan, adapter: ModelAdapter, training: TrainConfig, left: int, models: int
) -> _Work:
    """Of the rounds that are left, and of the models that are still to be judged."""
    config = plan.config
    cache = open_cache(plan.root, adapter, training)
    sampler = BatchSampler(cache, training)
    each, scale = config.prompts.num_prompts, config.generate.guidance_scale
    judged = models * config.improve.validation_prompts * config.improve.validation_images
    judging = config.improve.validation_guidance_scales or (scale,)
    made = [(left * each * config.generate.num_candidates, scale)]
    made += [(judged, scale) for scale in judging]
    generating = sum(count * passes(adapter.pipeline, scale) for count, scale in made)
    pairs = training.batch_size * training.gradient_accumulation_steps
    beside = forwards_per_sample(sampler, scores_first=training.strategy == "fsdp") - 1
    per_pair = sampler.samples_per_pair * (1 + beside)
    last = config.improve.rounds
    sets = sum(min(n, 1 + config.improve.replay_rounds) for n in range(last - left + 1, last + 1))
    walks = sets * each * 2 * sampler.objective.inverts
    straight = training.noise != "inversion"
    return _Work(
        images=sum(count for count, _ in made),
        generating=generating * config.generate.num_inference_steps,
        walks=walks,
        phase_one=walks * forwards_per_trajectory(cache, training, straight=straight),
        steps=left * training.max_steps * pairs * per_pair,
        kept=cache.kept,
        beside=beside,
    )


def _parameters(adapter: ModelAdapter, required: Requirements | None) -> int:
    """Of the denoiser."""
    if required and isinstance(adapter, LatentModel):
        return required.parameters[adapter.component]
    return sum(p.numel() for p in adapter.denoiser.parameters())


def _counted(adapter: LatentModel, config: TrainConfig, size: Size, wanted: list[Size]) -> _Costs:
    """By the configurations alone."""
    pair = Pair("", "x" * TOKENS * LETTERS, "chosen", "rejected", "", bucket=size)
    required = require(adapter, config, [pair], config.unet_batch_size)
    drawing = fmean(count_forward(adapter, at, required.tokens) for at in wanted)
    forward = required.forward_flops
    again = forward if config.gradient_checkpointing else 0
    return _Costs(drawing, forward, required.step_flops + again, required)


def _measured(adapter: ModelAdapter, config: TrainConfig, size: Size, wanted: list[Size]) -> _Costs:
    """By a few real calls."""
    timed = {at: _seconds_of_calls(adapter, config, at) for at in {size, *wanted}}
    return _Costs(fmean(timed[at][0] for at in wanted), *timed[size])


def _seconds_of_calls(
    adapter: ModelAdapter, config: TrainConfig, size: Size
) -> tuple[float, float]:
    """Of a sample without a graph, and of one with a backward."""
    samples = config.unet_batch_size
    width, height = (max(1, side // adapter.multiple) * adapter.multiple for side in size)
    size = (width, height)
    latent = torch.randn(samples, *adapter.latent_shape(size))
    framings = adapter.size_conditioning([framing(size, size)] * samples)
    conditioning = adapter.encode_prompts([None] * samples) | framings
    there = {name: value.to(adapter.device) for name, value in conditioning.items()}
    forward, backward, _ = timing.time_calls(adapter, config, latent.to(adapter.device), there)
    return forward, backward
