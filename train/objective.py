"""The objectives: the loss of a pair from its noise errors, as training computes it.

Shapes: B pairs, S sides (0 the winner `w`, 1 the loser `l`), K points of a trajectory or of the
noise schedule, C x H x W the latent.

In the symbols of arXiv 2507.11554, with E(i) = mean ‖ε(x_i) − target_i‖² over C, H, W, measured for
the network in training (E_θ, `error`) and for the frozen reference (E_0, `reference_error`), and
with ω_i the weight of a point:

    reward of an image   r = −(β/2) · mean_i ω_i · (E_θ − E_0)(i)
    score of a pair      s = r_w − r_l
    loss                 −log σ(s)

Nothing is drawn, no model is called, and nothing is averaged over B: callers do that. Every score
is linear in the errors and every loss is a function of the score alone; `gradient` relies on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from invdpo.schemas.plugins import Registry


def noise_error(prediction: Tensor, target: Tensor) -> Tensor:
    """E, in at least float32: (..., C, H, W) twice to (...)."""
    dtype = prediction.dtype if prediction.dtype.itemsize >= 4 else target.dtype
    return (prediction.to(dtype) - target).pow(2).mean((-3, -2, -1))


def reward(error: Tensor, reference_error: Tensor, weight: Tensor, beta: float) -> Tensor:
    """The implicit reward r of each image: errors (B, S, K) and weight (B, K) to (B, S)."""
    return -(beta / 2) * (weight[:, None] * (error - reference_error)).mean(-1)


@dataclass(frozen=True)
class Objective(ABC):
    """What is minimised: the mean over pairs of `loss(score(E_θ, E_0, ω))`."""

    beta: float

    sides: ClassVar[int] = 2
    """1: winners only; 2: winners and losers."""
    inverts: ClassVar[bool] = False
    """Whether the errors are measured along cached inversion trajectories."""
    live_reference: ClassVar[bool] = False
    """Whether E_0 must be computed in every step, because no cache holds it."""

    @abstractmethod
    def score(self, error: Tensor, reference_error: Tensor, weight: Tensor) -> Tensor:
        """Of each pair, linear in the errors: (B, S, K) twice and weight (B, K) to (B,)."""

    @abstractmethod
    def loss(self, score: Tensor) -> Tensor:
        """The loss of each pair from its score: (B,) to (B,)."""


class PreferenceObjective(Objective):
    """The loss of Bradley and Terry's preference model, shared by both kinds of DPO."""

    def score(self, error: Tensor, reference_error: Tensor, weight: Tensor) -> Tensor:
        """Margin of the rewards, r_w − r_l."""
        winner, loser = reward(error, reference_error, weight, self.beta).unbind(1)
        return winner - loser

    def loss(self, score: Tensor) -> Tensor:
        """−log σ(s), stable for any s; ln 2 at s = 0."""
        return F.softplus(-score)


OBJECTIVES: Registry[type[Objective]] = Registry("objective")


@OBJECTIVES.register("inversion-dpo")
class InversionDPO(PreferenceObjective):
    """Inversion-DPO: the errors are measured along inverted trajectories, E_0 in phase one."""

    inverts = True


@OBJECTIVES.register("diffusion-dpo")
class DiffusionDPO(PreferenceObjective):
    """Diffusion-DPO (arXiv 2311.12908, eq. 14), its β·T one factor, as released.

    The formula of Inversion-DPO; the errors are of freshly noised latents instead.
    """

    live_reference = True


@OBJECTIVES.register("sft")
class SupervisedFinetuning(Objective):
    """The denoising loss of freshly noised winners; E_0 and β play no part."""

    sides = 1

    def score(self, error: Tensor, reference_error: Tensor, weight: Tensor) -> Tensor:
        """The winner's error, mean_i ω_i · E_θ(w, i)."""
        return (weight * error[:, 0]).mean(-1)

    def loss(self, score: Tensor) -> Tensor:
        """The score itself."""
        return score
