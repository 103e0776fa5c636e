"""Fresh noise in a trajectory: the same picture at each noise level, further from its own path.

Shapes: B images, C x H x W the latent. Inversion leads to the one noise from which the reference
draws a picture, where it hardly errs and so has little to learn. With a share η of fresh noise,

    x_τ = √ᾱ_τ · x_0 + √(1−ᾱ_τ) · ( √(1−η²) · e_τ + η · z_τ ),        z_τ ~ N(0, 1),

e_τ the trajectory's endpoint noise, of the same spread as before. z depends on the prompt and the
point alone: a pair's pictures share it, and so do all runs, so that E_0 can be kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from invdpo.schemas.ids import derived_seed
from invdpo.train.inversion import endpoint_noise


def refreshed(x: Tensor, latent: Tensor, level: Tensor, fresh: Tensor, share: float) -> Tensor:
    """x_τ (B, C, H, W) of a trajectory with `share` η of its noise replaced by `fresh`.

    `level` is ᾱ_τ, below 1. x itself with η = 0; the latent freshly noised with η = 1.
    """
    own = endpoint_noise(x, latent, level)
    noise = (1 - share**2) ** 0.5 * own + share * fresh
    mixed: Tensor = level.sqrt() * latent + (1 - level).sqrt() * noise
    return mixed


def fresh_noise(prompts: Sequence[str], point: int, like: Tensor) -> Tensor:
    """The z of the grid's point 0 .. N-1 under each prompt, of the shape of `like` (B, C, H, W)."""
    draws = [
        torch.randn(like.shape[1:], generator=_generator(prompt, point)) for prompt in prompts
    ]
    return torch.stack(draws).to(like)


def _generator(prompt: str, point: int) -> torch.Generator:
    return torch.Generator().manual_seed(derived_seed("fresh noise", prompt, point))
