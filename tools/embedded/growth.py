"""Trains a denoiser and averages its weights on the way.

Legend: N scenes, B batch, C latent channels, h = w = 8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch

from embedded.fast import float_norms
from embedded.steps import Progress, cosine

DROPPED = 0.1
"""Share of captions replaced by the empty one, for guidance."""
RATE = 1e-3
BATCH = 64
DECAY = 0.9995
"""Of the average, after its warm start."""

Inspect = Callable[[Any, int], None]


class Kind(Protocol):
    """What differs between denoisers: `diffusion` and `flow` are two."""

    def build(self) -> Any:
        """An untrained one."""

    def loss_of(self, model: Any, x: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
        """Of latents B×C×h×w, their contexts and noise: B."""


class Latents(NamedTuple):
    """What the denoiser learns from."""

    x: torch.Tensor
    """N×C×h×w, mean 0 and spread 1."""
    contexts: tuple[torch.Tensor, ...]
    """The captions' states, each N×..."""
    empty: tuple[torch.Tensor, ...]
    """The empty caption's."""

    def batch(self) -> tuple[torch.Tensor, ...]:
        """B random latents with their contexts, some of these dropped."""
        rows = torch.randint(len(self.x), (BATCH,))
        contexts = [context[rows] for context in self.contexts]
        dropped = torch.rand(BATCH) < DROPPED
        for context, empty in zip(contexts, self.empty, strict=True):
            context[dropped] = empty
        return self.x[rows], *contexts


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
    def fill(self, model: Any) -> Any:
        """Give a fresh denoiser the averaged weights."""
        for target, source in zip(model.parameters(), self.weights, strict=True):
            target.copy_(source)
        return model.eval()


def train(
    kind: Kind,
    latents: Latents,
    *,
    steps: int,
    stop_at: int,
    seed: int,
    every: int,
    inspect: Inspect,
) -> None:
    """Train towards `steps` but stop at `stop_at`; `inspect` sees the average every so often."""
    torch.manual_seed(seed)
    model = kind.build().to(memory_format=torch.channels_last)
    float_norms(model)
    average = Average(model)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    progress = Progress("denoiser", steps)
    for step in range(stop_at):
        optimiser.param_groups[0]["lr"] = RATE * cosine(step, steps, warm_up=300)
        loss = _step(kind, model, optimiser, latents)
        average.update(model)
        progress.show(step, loss)
        if (step + 1) % every == 0 or step + 1 == stop_at:
            inspect(average.fill(kind.build().to(memory_format=torch.channels_last)), step + 1)


def _step(
    kind: Kind, model: Any, optimiser: torch.optim.Optimizer, latents: Latents
) -> torch.Tensor:
    """One step of the optimiser; returns its loss."""
    x, *contexts = latents.batch()
    loss = kind.loss_of(model, x, *contexts, torch.randn_like(x)).mean()
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return loss.detach()
