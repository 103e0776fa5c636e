"""A few real calls of the model, timed, from which a dry run derives times and memory.

Shapes: M samples, C x H x W the latent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.timing import fastest
from invdpo.train.cache.fill import CacheBuilder
from invdpo.train.cache.trajectories import open_cache
from invdpo.train.data import DataSet, Pair
from invdpo.train.diagnostics.kept import counted
from invdpo.train.diagnostics.memory import Setting
from invdpo.train.distributed import ProcessGroup
from invdpo.train.models import Conditioning, ModelAdapter
from invdpo.train.models.finetuning import Tuning, start_tuning


@dataclass(frozen=True)
class Measured:
    """Seconds and bytes of calls as large as the run's own, each after a warm-up."""

    samples: int
    """In each call of the UNet."""
    encode_seconds: float
    """An image, its reading and its share of the prompts included."""
    forward_seconds: float
    """A sample, without a graph."""
    step_seconds: float
    """A sample, forward and backward."""
    fixed_bytes: dict[str, int]
    """On the device throughout phase two, by what they hold."""
    graph_bytes: int
    """What autograd keeps for the backward of one such call."""


def measure(
    adapter: ModelAdapter, config: TrainConfig, dataset: DataSet, pairs: list[Pair], samples: int
) -> Measured | None:
    """Time the calls on some pairs of the train split; None if their first image is unreadable.

    The encodings are thrown away. Afterwards the adapter's UNet is prepared for training.
    """
    count = len({image for pair in pairs for image in pair.images})
    for _ in range(2):  # the first time loads the encoders
        with TemporaryDirectory(prefix="invdpo-") as folder:
            builder = CacheBuilder(adapter, config, open_cache(Path(folder), adapter, config))
            began = time.perf_counter()
            builder.encode(dataset, {"train": pairs})
            encode = (time.perf_counter() - began) / count
            if builder.cache.latents.lacks(pairs[0].pictures[:1]):
                return None
            pictures, prompts = [pairs[0].pictures[0]] * samples, [pairs[0].prompt] * samples
            latent = builder.cache.latents.get("latent", pictures).to(adapter.device)
            conditioning = builder.reference(pictures, prompts).conditioning
    adapter.drop_encoders()
    network = sum(p.numel() for p in adapter.denoiser.parameters())
    forward, backward, tuning = time_calls(adapter, config, latent, conditioning)
    with counted(tuning.denoiser.parameters()) as kept:
        _step(adapter, tuning, latent, middle_timestep(adapter, latent), conditioning)
    weights = sum(p.nbytes for p in adapter.denoiser.parameters())
    return Measured(
        samples,
        encode_seconds=encode,
        forward_seconds=forward,
        step_seconds=backward,
        fixed_bytes=Setting.of(config, weights, network, tuning.parameters).parts(),
        graph_bytes=kept.peak,
    )


def time_calls(
    adapter: ModelAdapter, config: TrainConfig, latent: Tensor, conditioning: Conditioning
) -> tuple[float, float, Tuning]:
    """Seconds of a sample without a graph, of one with a backward, and what is in training then.

    latent (M, C, H, W); afterwards the adapter's UNet is prepared for training.
    """
    steps, device, samples = middle_timestep(adapter, latent), adapter.device, len(latent)
    forward = _timed(lambda: _forward(adapter, latent, steps, conditioning), device)
    tuning = start_tuning(adapter, config, ProcessGroup(device), keep_reference=False)
    backward = _timed(lambda: _step(adapter, tuning, latent, steps, conditioning), device)
    return forward / samples, backward / samples, tuning


def middle_timestep(adapter: ModelAdapter, latent: Tensor) -> Tensor:
    """(M,) what the network is called with half-way through the levels of training."""
    timesteps = adapter.process.training_levels(latent.shape[1:]).timesteps
    return timesteps[len(timesteps) // 2].to(adapter.device).repeat(len(latent))


@torch.no_grad()
def _forward(adapter: ModelAdapter, x: Tensor, t: Tensor, conditioning: Conditioning) -> None:
    adapter.predict(adapter.denoiser, x, t, conditioning)


def _step(
    adapter: ModelAdapter, tuning: Tuning, x: Tensor, t: Tensor, conditioning: Conditioning
) -> None:
    loss = adapter.predict(tuning.denoiser, x, t, conditioning).pow(2).mean()
    torch.autograd.grad(loss, tuning.parameters, allow_unused=True)


def _timed(call: Callable[[], None], device: torch.device) -> float:
    def finished() -> None:
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return fastest(finished)[0]
