"""Inversion of clean latents, and the noise that a trajectory is measured against.

Shapes: B images, N steps of the grid, C x H x W the latent. Accumulated in float32 at least.
`process` is how noise enters (see `schedule`): a step is one of DDIM for models that predict noise,
and one of Euler for those that predict a velocity.

Inversion leads to the one noise from which the reference generates an image; it hardly errs, so
there is little to learn. With a share η of fresh noise z a point moves away from its own path,

    x_τ = a_τ · x_0 + b_τ · ( √(1−η²) · e_τ + η · z_τ ),        z_τ ~ N(0, 1),

where e_τ is the trajectory's endpoint noise; the spread stays as it was. z depends on the prompt
and the point alone: a pair's images share it, and so do all runs, so that E_0 can be cached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from invdpo.schemas.ids import derived_seed
from invdpo.train.schedule import Grid, NoiseProcess

Predict = Callable[[Tensor, float], tuple[Tensor, Tensor]]
"""(x, timestep) -> the prediction that inversion follows, and the reference's own conditional one.

They are the same unless inversion is guided.
"""


@dataclass(frozen=True)
class Point:
    """What the frozen reference predicts at x_{τ_{i+1}}; all (B, C, H, W)."""

    x: Tensor
    implied: Tensor
    """The prediction with which a step returns from x_{τ_{i+1}} to x_{τ_i} exactly."""
    reference: Tensor
    """The reference's prediction at (x_{τ_{i+1}}, τ_{i+1}, c), never guided."""


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance; scale 1 is the conditional prediction."""
    return unconditional + scale * (conditional - unconditional)


def invert(
    predict: Predict, process: NoiseProcess, latent: Tensor, grid: Grid, corrections: int = 0
) -> Iterator[Point]:
    """Invert clean latents (B, C, H, W) along the grid: N points with N+1 calls of the network.

    A step of the sampler leaves from its noisy end, which inversion doesn't know yet: it follows
    the prediction of the clean end instead. Each of `corrections` takes the step again with the
    prediction at the end just found (arXiv 2403.14602), for N calls more; where this settles, the
    sampler comes back exactly.

    One point is in memory at a time, without a graph. The call at x_{τ_N} gives the reference's
    prediction at the last point.
    """
    levels, timesteps = grid.levels.tolist(), grid.timesteps.tolist()
    with torch.no_grad():
        x, (following, _) = latent, predict(latent, timesteps[0])
    for i in range(grid.steps):
        with torch.no_grad():
            implied = following
            moved = process.step(x, implied, levels[i], levels[i + 1])
            for _ in range(corrections):
                implied, _ = predict(moved, timesteps[i + 1])
                moved = process.step(x, implied, levels[i], levels[i + 1])
            x = moved
            following, reference = predict(x, timesteps[i + 1])
        yield Point(x, implied, reference)


def calls(steps: int, corrections: int) -> int:
    """How often `invert` calls the network."""
    return (1 + corrections) * steps + 1


def along_noise(
    process: NoiseProcess, latent: Tensor, noise: Tensor, grid: Grid
) -> Iterator[Point]:
    """The N points of the straight line from clean latents to one noise each; no network is called.

    Both are (B, C, H, W). The line's own prediction is implied everywhere, and the reference's is
    not known.
    """
    prediction = process.prediction(latent, noise)
    for level in grid.levels.tolist()[1:]:
        yield Point(process.noised(latent, noise, level), prediction, prediction)


def own_noise(seeds: Sequence[int], like: Tensor) -> Tensor:
    """The noise that images with these seeds were generated from, shaped like `like` (B, C, H, W).

    Pipelines draw it on the CPU, for each image by itself. In half precision they round it; and
    schedulers that start at another spread scale it: the direction is this one in all of them.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return torch.cat([torch.randn((1, *like.shape[1:]), generator=g) for g in generators]).to(like)


def regenerate(predict: Predict, process: NoiseProcess, x: Tensor, grid: Grid) -> Tensor:
    """From x_{τ_N} (B, C, H, W) back to a clean latent, with N calls on the same grid."""
    levels, timesteps = grid.levels.tolist(), grid.timesteps.tolist()
    with torch.no_grad():
        for i in range(grid.steps, 0, -1):
            x = process.step(x, predict(x, timesteps[i])[0], levels[i], levels[i - 1])
    return x


def endpoint_target(process: NoiseProcess, x: Tensor, latent: Tensor, level: Tensor) -> Tensor:
    """The prediction that leads straight from x to the clean latent; shapes as in `noise_in`."""
    return process.prediction(latent, process.noise_in(x, latent, level))


def mix_fresh_noise(
    process: NoiseProcess, x: Tensor, latent: Tensor, level: Tensor, fresh: Tensor, share: float
) -> Tensor:
    """x_τ (B, C, H, W) of a trajectory with `share` η of its noise replaced by `fresh`.

    The level is not that of a clean one. x itself with η = 0; the latent freshly noised with η = 1.
    """
    noise = (1 - share**2) ** 0.5 * process.noise_in(x, latent, level) + share * fresh
    return process.noised(latent, noise, level)


def fresh_noise(prompts: Sequence[str], point: int, like: Tensor) -> Tensor:
    """Z at the grid's point 0 .. N-1 under each prompt, shaped like `like` (B, C, H, W)."""
    seeds = [derived_seed("fresh noise", prompt, point) for prompt in prompts]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return torch.stack([torch.randn(like.shape[1:], generator=g) for g in generators]).to(like)
