"""DDIM inversion of clean latents, and the noise that a trajectory is measured against.

Shapes: B images, N steps of the grid, C x H x W the latent. Accumulated in float32 at least.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from invdpo.train.schedule import Grid

Predict = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""(x, timestep) -> the noise that inversion follows, and the reference's own conditional noise.

They are the same unless inversion is guided.
"""


@dataclass(frozen=True)
class Trajectory:
    """What the frozen reference says along x_{τ_1} … x_{τ_N}; all (B, N, C, H, W)."""

    x: Tensor
    implied: Tensor
    """e_i at index i: a DDIM step with it returns from x_{τ_{i+1}} to x_{τ_i} exactly."""
    reference: Tensor
    """ε_0(x_{τ_{i+1}}, τ_{i+1}, c) at index i."""


def ddim_step(x: Tensor, noise: Tensor, level: float, to_level: float) -> Tensor:
    """Carry x from one ᾱ to another along `noise`; its own inverse with levels swapped."""
    clean: Tensor = (x - (1 - level) ** 0.5 * noise) / level**0.5
    moved: Tensor = to_level**0.5 * clean + (1 - to_level) ** 0.5 * noise
    return moved


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance; scale 1 is the conditional noise."""
    return unconditional + scale * (conditional - unconditional)


@torch.no_grad()
def invert(predict: Predict, latent: Tensor, grid: Grid) -> Trajectory:
    """Invert clean latents (B, C, H, W) along the grid, with N+1 calls of the network.

    The call at x_{τ_N} is there for the reference's noise at the last point.
    """
    levels, timesteps = grid.alpha_bar.tolist(), grid.timesteps.tolist()
    x = latent
    xs, implied, reference = [], [], []
    for i in range(grid.steps):
        noise, own = predict(x, timesteps[i])
        if i:
            reference.append(own)
        x = ddim_step(x, noise, levels[i], levels[i + 1])
        xs.append(x)
        implied.append(noise)
    reference.append(predict(x, timesteps[-1])[1])
    return Trajectory(*(torch.stack(part, 1) for part in (xs, implied, reference)))


def endpoint_noise(x: Tensor, latent: Tensor, level: Tensor) -> Tensor:
    """The noise that leads straight from x to the clean latent, as in arXiv 2503.18454.

    x and latent (..., C, H, W); level is ᾱ, broadcastable to x, below 1.
    """
    return (x - level.sqrt() * latent) / (1 - level).sqrt()
