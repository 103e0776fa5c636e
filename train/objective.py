"""The objectives, as pure functions of noise errors; no model, no randomness, no reduction of B.

Shapes: B pairs, S sides (0 the winner `w`, 1 the loser `l`), K points of a trajectory or of the
noise schedule, C x H x W the latent.

In the symbols of arXiv 2507.11554, with E(i) = mean ‖ε(x_i) − target_i‖² over C, H, W:

    reward of an image   r = −(β/2) · mean_i ω_i · (E_θ − E_0)(i)
    score of a pair      s = r_w − r_l
    loss                 −log σ(s)

Every score is linear in the errors and every loss a function of one score; `gradient` relies on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from invdpo.schemas.plugins import Registry


def noise_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over C, H, W in at least float32: (..., C, H, W) twice to (...)."""
    kind = prediction.dtype if prediction.dtype.itemsize >= 4 else target.dtype
    return (prediction.to(kind) - target).pow(2).mean((-3, -2, -1))


def reward(error: Tensor, reference_error: Tensor, weight: Tensor, beta: float) -> Tensor:
    """Implicit reward r of each image: errors (B, S, K) and weight (B, K) to (B, S)."""
    return -(beta / 2) * (weight[:, None] * (error - reference_error)).mean(-1)


def preference_score(error: Tensor, reference_error: Tensor, weight: Tensor, beta: float) -> Tensor:
    """r_w - r_l of each pair: (B, 2, K) to (B,)."""
    winner, loser = reward(error, reference_error, weight, beta).unbind(1)
    return winner - loser


def preference_loss(score: Tensor) -> Tensor:
    """−log σ(s), stable for any s; ln 2 at s = 0."""
    return F.softplus(-score)


def denoising_score(error: Tensor, reference_error: Tensor, weight: Tensor, beta: float) -> Tensor:
    """mean_i ω_i · E_θ(w, i): (B, S, K) to (B,); E_0 and β play no part."""
    return (weight * error[:, 0]).mean(-1)


def denoising_loss(score: Tensor) -> Tensor:
    """The score itself."""
    return score


def inversion_dpo_loss(
    error: Tensor, reference_error: Tensor, weight: Tensor, beta: float
) -> Tensor:
    """Inversion-DPO of each pair, with the errors measured along inverted trajectories: (B,)."""
    return preference_loss(preference_score(error, reference_error, weight, beta))


def diffusion_dpo_loss(
    error: Tensor, reference_error: Tensor, weight: Tensor, beta: float
) -> Tensor:
    """Diffusion-DPO (arXiv 2311.12908, eq. 14), its β·T one factor, as released: (B,).

    The same formula as Inversion-DPO; the errors are of freshly noised latents instead.
    """
    return preference_loss(preference_score(error, reference_error, weight, beta))


def sft_loss(error: Tensor, weight: Tensor) -> Tensor:
    """Denoising loss of the winner alone: errors (B, S, K) to (B,)."""
    return denoising_loss(denoising_score(error, error, weight, 0.0))


Score = Callable[[Tensor, Tensor, Tensor, float], Tensor]


@dataclass(frozen=True)
class Objective:
    """What is optimised: `loss(score(errors))`, and what it has to be given."""

    score: Score
    loss: Callable[[Tensor], Tensor]
    sides: int
    """1: winners only; 2: winners and losers."""
    inverts: bool
    """Whether the errors are measured along cached inversion trajectories."""
    live_reference: bool = False
    """Whether E_0 must be computed in every step, for want of a cached one."""


OBJECTIVES: Registry[Objective] = Registry("objective")

OBJECTIVES.register("inversion-dpo")(
    Objective(preference_score, preference_loss, sides=2, inverts=True)
)
OBJECTIVES.register("diffusion-dpo")(
    Objective(preference_score, preference_loss, sides=2, inverts=False, live_reference=True)
)
OBJECTIVES.register("sft")(Objective(denoising_score, denoising_loss, sides=1, inverts=False))
