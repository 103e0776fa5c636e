"""What rounds would generate, compute and store, before anything is written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invdpo.rounds.checks import open_record, require_prompts
from invdpo.rounds.round_plan import RoundPlan, weights_path
from invdpo.schemas.config import Config
from invdpo.schemas.io.files import free_bytes
from invdpo.schemas.io.text import format_bytes, format_seconds

if TYPE_CHECKING:
    from invdpo.schemas.config.train import TrainConfig
    from invdpo.train.data.buckets import Size
    from invdpo.train.models import ModelAdapter


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
    seconds: float
    """Of the UNet alone, from a few real calls here: judges and decoding come on top."""
    bytes: int
    """On disk: images, trajectories and weights."""
    free_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return asdict(self)

    def text(self) -> str:
        """One figure a line."""
        rows = (
            ("rounds to do", f"{self.rounds}"),
            ("images to make", f"{self.images:,}"),
            (
                "UNet forwards",
                f"{self.forwards:,}, of which {self.training_forwards:,} in training steps",
            ),
            ("time", f"about {format_seconds(self.seconds)} in the UNet, measured by a few calls"),
            ("disk", f"about {format_bytes(self.bytes)}; free: {format_bytes(self.free_bytes)}"),
        )
        return "\n".join(f"{name:<16} {value}" for name, value in rows)


def estimate(root: Path, config: Config) -> RoundsEstimate:
    """The work that `improve` would do. Raises as it does before the first image is made."""
    import math
    from statistics import fmean

    import torch

    from invdpo.curate.diagnostics.timing import stored_bytes
    from invdpo.curate.generate import sizes
    from invdpo.curate.generators.guidance import passes
    from invdpo.train.batches import BatchSampler
    from invdpo.train.cache.trajectories import open_cache
    from invdpo.train.diagnostics.estimate import forwards_per_trajectory
    from invdpo.train.distributed import pick_device
    from invdpo.train.models import load_adapter
    from invdpo.train.splits import resolve_config

    plan = RoundPlan(root, config)
    record = open_record(plan)
    require_prompts(plan, record)
    done = len(record.results)
    left = max(0, config.improve.rounds + 1 - max(done, 1))
    model = {"model": weights_path(config.generate.model), "revision": config.generate.revision}
    training = config.train.model_copy(update=model)
    adapter = load_adapter(training, pick_device(training.device))
    training = resolve_config(training, adapter)
    cache = open_cache(plan.root, adapter, training)
    sampler = BatchSampler(cache, training)
    each = config.prompts.num_prompts
    drawn = left * each * config.generate.num_candidates
    judged = config.improve.validation_prompts * config.improve.validation_images
    models, scale = left + (not done), config.generate.guidance_scale
    judging = config.improve.validation_guidance_scales or (scale,)
    made = [(drawn, scale), *((models * judged, scale) for scale in judging)]
    calls = sum(count * passes(adapter.pipeline, scale) for count, scale in made)
    calls *= config.generate.num_inference_steps
    images = sum(count for count, _ in made)
    pairs = training.batch_size * training.gradient_accumulation_steps
    per_pair = sampler.samples_per_pair * (1 + sampler.live_reference)
    steps = left * training.max_steps * pairs * per_pair
    walks = left * each * 2 * sampler.objective.inverts
    phase_one = walks * forwards_per_trajectory(cache, training)
    own, trained = adapter.side, training.resolution or adapter.side
    size, wanted = (trained, trained), sizes(config.generate) or [(own, own)]
    timed = {at: _seconds_of_calls(adapter, training, at) for at in {size, *wanted}}
    forward, backward = timed[size]
    drawing = fmean(timed[at][0] for at in wanted)
    latent = math.prod(adapter.latent_shape(size)) * getattr(torch, training.cache_dtype).itemsize
    stored = stored_bytes(images, wanted)
    stored += walks * cache.kept * latent
    if training.tuning == "full":
        stored += left * 4 * 4 * sum(p.numel() for p in adapter.denoiser.parameters())
    return RoundsEstimate(
        rounds=left,
        images=images,
        forwards=calls + phase_one + steps,
        training_forwards=steps,
        seconds=calls * drawing + phase_one * forward + steps * backward,
        bytes=int(stored),
        free_bytes=free_bytes(root),
    )


def _seconds_of_calls(
    adapter: ModelAdapter, config: TrainConfig, size: Size
) -> tuple[float, float]:
    """Of a sample without a graph, and of one with a backward."""
    import torch

    from invdpo.train.data.buckets import framing
    from invdpo.train.diagnostics.timing import time_calls

    samples = config.unet_batch_size
    width, height = (max(1, side // adapter.multiple) * adapter.multiple for side in size)
    size = (width, height)
    latent = torch.randn(samples, *adapter.latent_shape(size))
    framings = adapter.size_conditioning([framing(size, size)] * samples)
    conditioning = adapter.encode_prompts([None] * samples) | framings
    there = {name: value.to(adapter.device) for name, value in conditioning.items()}
    forward, backward, _ = time_calls(adapter, config, latent.to(adapter.device), there)
    return forward, backward
