"""DDIM inversion of clean latents, and the noise that a trajectory is measured against.

Shapes: B images, N steps of the grid, C x H x W the latent. Accumulated in float32 at least.

Inversion leads to the one noise from which the reference draws a picture; there it hardly errs, so
there is little to learn. With a share η of fresh noise z a point moves away from its own path,

    x_τ = √ᾱ_τ · x_0 + √(1−ᾱ_τ) · ( √(1−η²) · e_τ + η · z_τ ),        z_τ ~ N(0, 1),

where e_τ is the trajectory's endpoint noise; the spread stays as it was. z depends on the prompt
and the point alone: a pair's pictures share it, and so do all runs, so that E_0 can be cached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invdpo.schemas.ids import derived_seed
from invdpo.train.schedule import Grid

Predict = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""(x, timestep) -> the noise that inversion follows, and the reference's own conditional noise.

They are the same unless inversion is guided.
"""


@dataclass(frozen=True)
class Point:
    """What the frozen reference predicts at x_{τ_{i+1}}; all (B, C, H, W)."""

    x: Tensor
    implied: Tensor
    """e_i: a DDIM step with it returns from x_{τ_{i+1}} to x_{τ_i} exactly."""
    reference: Tensor
    """ε_0(x_{τ_{i+1}}, τ_{i+1}, c), never guided."""


def ddim_step(x: Tensor, noise: Tensor, level: float, to_level: float) -> Tensor:
    """Carry x from one ᾱ to another along `noise`; its own inverse with levels swapped."""
    clean: Tensor = (x - (1 - level) ** 0.5 * noise) / level**0.5
    moved: Tensor = to_level**0.5 * clean + (1 - to_level) ** 0.5 * noise
    return moved


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance; scale 1 is the conditional noise."""
    return unconditional + scale * (conditional - unconditional)


def invert(predict: Predict, latent: Tensor, grid: Grid) -> Iterator[Point]:
    """Invert clean latents (B, C, H, W) along the grid: N points with N+1 calls of the network.

    One point is in memory at a time, without a graph. The call at x_{τ_N} gives the reference's
    noise at the last point.
    """
    levels, timesteps = grid.alpha_bar.tolist(), grid.timesteps.tolist()
    with torch.no_grad():
        x, (noise, _) = latent, predict(latent, timesteps[0])
    for i in range(grid.steps):
        with torch.no_grad():
            x, implied = ddim_step(x, noise, levels[i], levels[i + 1]), noise
            noise, reference = predict(x, timesteps[i + 1])
        yield Point(x, implied, reference)


def along_noise(latent: Tensor, noise: Tensor, grid: Grid) -> Iterator[Point]:
    """The N points of the straight line from clean latents to one noise each; no network is called.

    Both are (B, C, H, W). The noise is implied everywhere, and the reference's own is not known.
    """
    for level in grid.alpha_bar.tolist()[1:]:
        yield Point(level**0.5 * latent + (1 - level) ** 0.5 * noise, noise, noise)


def own_noise(seeds: Sequence[int], like: Tensor) -> Tensor:
    """The noise that pictures with these seeds were drawn from, shaped like `like` (B, C, H, W).

    Pipelines draw it on the CPU, for each picture by itself. In half precision they round it; and
    schedulers that start at another spread scale it: the direction is this one in all of them.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return torch.cat([torch.randn((1, *like.shape[1:]), generator=g) for g in generators]).to(like)


def regenerate(predict: Predict, x: Tensor, grid: Grid) -> Tensor:
    """DDIM from x_{τ_N} (B, C, H, W) back to a clean latent, with N calls on the same grid."""
    levels, timesteps = grid.alpha_bar.tolist(), grid.timesteps.tolist()
    with torch.no_grad():
        for i in range(grid.steps, 0, -1):
            x = ddim_step(x, predict(x, timesteps[i])[0], levels[i], levels[i - 1])
    return x


def endpoint_noise(x: Tensor, latent: Tensor, level: Tensor) -> Tensor:
    """The noise that leads straight from x to the clean latent, as in arXiv 2503.18454.

    x and latent (..., C, H, W); level is ᾱ, broadcastable to x, below 1.
    """
    return (x - level.sqrt() * latent) / (1 - level).sqrt()


def mix_fresh_noise(
    x: Tensor, latent: Tensor, level: Tensor, fresh: Tensor, share: float
) -> Tensor:
    """x_τ (B, C, H, W) of a trajectory with `share` η of its noise replaced by `fresh`.

    `level` is ᾱ_τ, below 1. x itself with η = 0; the latent freshly noised with η = 1.
    """
    noise = (1 - share**2) ** 0.5 * endpoint_noise(x, latent, level) + share * fresh
    mixed: Tensor = level.sqrt() * latent + (1 - level).sqrt() * noise
    return mixed


def fresh_noise(prompts: Sequence[str], point: int, like: Tensor) -> Tensor:
    """Z at the grid's point 0 .. N-1 under each prompt, shaped like `like` (B, C, H, W)."""
    seeds = [derived_seed("fresh noise", prompt, point) for prompt in prompts]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return torch.stack([torch.randn(like.shape[1:], generator=g) for g in generators]).to(like)
