"""Trains the noise predictor and averages its weights on the way.

Legend: N scenes, B batch, C latent channels, h = w = 8, T tokens, D text width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from diffusers import UNet2DConditionModel

from embedded import diffusion
from embedded.fast import float_norms
from embedded.steps import Progress, cosine

DROPPED = 0.1
"""Share of captions replaced by the empty one, for guidance."""
RATE = 1e-3
BATCH = 64
DECAY = 0.9995
"""Of the average, after its warm start."""

Inspect = Callable[[UNet2DConditionModel, int], None]


class Latents(NamedTuple):
    """What the noise predictor learns from."""

    x: torch.Tensor
    """N×C×h×w, mean 0 and spread 1."""
    contexts: torch.Tensor
    """N×T×D, the captions' states."""
    empty: torch.Tensor
    """T×D, the empty caption's."""

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """B random latents with their contexts, some of these dropped."""
        rows = torch.randint(len(self.x), (BATCH,))
        context = self.contexts[rows]
        context[torch.rand(BATCH) < DROPPED] = self.empty
        return self.x[rows], context


class Average:
    """Exponential moving average of a model's weights, with a warm start."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.step = 0
        self.weights = [p.detach().clone() for p in model.parameters()]

    @torch.no_grad()
    def update(self, model: torch.nn.Module) -> None:
        """Take one step towards the model."""
        self.step += 1
        decay = min(DECAY, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.weights, list(model.parameters()), 1 - decay)

    @torch.no_grad()
    def model(self) -> UNet2DConditionModel:
        """A noise predictor with the averaged weights."""
        unet = diffusion.build().to(memory_format=torch.channels_last)
        for target, source in zip(unet.parameters(), self.weights, strict=True):
            target.copy_(source)
        return unet.eval()


def train(
    latents: Latents, *, steps: int, stop_at: int, seed: int, every: int, inspect: Inspect
) -> None:
    """Train towards `steps` but stop at `stop_at`; `inspect` sees the average every so often."""
    torch.manual_seed(seed)
    unet = diffusion.build().to(memory_format=torch.channels_last)
    float_norms(unet)
    average = Average(unet)
    optimiser = torch.optim.AdamW(
        unet.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    progress = Progress("unet", steps)
    for step in range(stop_at):
        optimiser.param_groups[0]["lr"] = RATE * cosine(step, steps, warm_up=300)
        loss = _step(unet, optimiser, latents)
        average.update(unet)
        progress.show(step, loss)
        if (step + 1) % every == 0 or step + 1 == stop_at:
            inspect(average.model(), step + 1)


def _step(
    unet: UNet2DConditionModel, optimiser: torch.optim.Optimizer, latents: Latents
) -> torch.Tensor:
    """One step of the optimiser; returns its loss."""
    x, context = latents.batch()
    noise, t = torch.randn_like(x), torch.randint(1000, (BATCH,))
    loss = diffusion.loss_of(unet, x, context, noise, t).mean()
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
    optimiser.step()
    return loss.detach()
