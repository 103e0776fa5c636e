"""The objectives: the loss of a pair from its noise errors, as training computes it.

Shapes: B pairs, S sides (0 the winner `w`, 1 the loser `l`), K points of a trajectory or of the
noise schedule, C x H x W the latent.

In the symbols of arXiv 2507.11554, with E(i) = mean ‖ε(x_i) − target_i‖² over C, H, W, measured for
the network in training (E_θ, `error`) and for the frozen reference (E_0, `reference_error`), and
with ω_i the weight of a point:

    reward of an image   r = −(β/2) · mean_i ω_i · (E_θ − E_0)(i)
    score of a pair      s = r_w − r_l
    loss                 −log σ(f·s) − α·r_w

with f the strength of the pair, 1 unless margins weight the pairs, and α the share of supervised
fine-tuning on winners, 0 by default.

Nothing is sampled, no model is called, and nothing is averaged over B: callers do that. Every score
is linear in the errors, and with α = 0 every loss is a function of the score alone; `gradient`
relies on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.plugins import Registry


def residual(prediction: Tensor, target: Tensor) -> Tensor:
    """ε − target, in at least float32; all (..., C, H, W)."""
    dtype = prediction.dtype if prediction.dtype.itemsize >= 4 else target.dtype
    return prediction.to(dtype) - target


def noise_error(prediction: Tensor, target: Tensor, region: Tensor | None = None) -> Tensor:
    """E: (..., C, H, W) twice to (...); `region` (..., H, W), of mean 1, weights the positions."""
    return mean_square(residual(prediction, target), region)


def mean_square(residual: Tensor, region: Tensor | None = None) -> Tensor:
    """E of residuals (..., C, H, W)."""
    square = residual.pow(2)
    return square.mean((-3, -2, -1)) if region is None else region_mean(square.mean(-3), region)


def error_map(prediction: Tensor, target: Tensor) -> Tensor:
    """E of each position: (..., C, H, W) twice to (..., H, W)."""
    return residual(prediction, target).pow(2).mean(-3)


def region_mean(error_map: Tensor, region: Tensor) -> Tensor:
    """E from that of each position, weighted: (..., H, W) twice to (...)."""
    return (region * error_map).mean((-2, -1))


def reward(error: Tensor, reference_error: Tensor, weight: Tensor, beta: float) -> Tensor:
    """The implicit reward r of each image: errors (B, S, K) and weight (B, K) to (B, S)."""
    return -(beta / 2) * (weight[:, None] * (error - reference_error)).mean(-1)


@dataclass(frozen=True)
class Objective(ABC):
    """What is minimised: the mean over pairs of `total(E_θ, E_0, ω, f)`."""

    beta: float
    sft_share: float = 0.0
    """α."""
    loser_scaling: float | None = None
    """μ; None leaves the loser's gradient as it is. See `loser_scale`."""

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

    @property
    def decided_by_score(self) -> bool:
        """Whether the gradient of a pair is that of its score, times one number."""
        return not self.sft_share and self.loser_scaling is None

    def total(
        self, error: Tensor, reference_error: Tensor, weight: Tensor, strength: Tensor
    ) -> Tensor:
        """All that is minimised for each pair; `strength` f is (B,), and so is the result."""
        total = self.loss(strength * self.score(error, reference_error, weight))
        if self.sft_share:
            rewards = reward(error, reference_error, weight, self.beta)
            total = total - self.sft_share * rewards[:, 0]
        return total


class PreferenceObjective(Objective):
    """The loss of Bradley and Terry's preference model, shared by both kinds of DPO."""

    def score(self, error: Tensor, reference_error: Tensor, weight: Tensor) -> Tensor:
        """Margin of the rewards, r_w − r_l."""
        winner, loser = reward(error, reference_error, weight, self.beta).unbind(1)
        return winner - loser

    def loss(self, score: Tensor) -> Tensor:
        """−log σ(s), stable for any s; ln 2 at s = 0."""
        return F.softplus(-score)


def loser_scale(residual: Tensor, weight: Tensor, region: Tensor | None, mu: float) -> Tensor:
    """λ in 0..1, by which the loser's gradient is scaled (Diffusion-SDPO, arXiv 2511.03317).

    With g the gradient of a pair's error by the network's output, a step along g_w − λ·g_l lowers
    the winner's error at least by μ times what it would without a loser:

        λ = clamp( (1−μ) · ‖g_w‖² / ⟨g_l, g_w⟩, 0, 1 )   where ⟨g_l, g_w⟩ > 0, else 1

    residual (B, 2, K, C, H, W), weight (B, K), region (B, 2, H, W) or None; to (B,).
    """
    gradient = weight[:, None, :, None, None, None] * residual.detach()
    if region is not None:
        gradient = region[:, :, None, None] * gradient
    winner, loser = gradient.flatten(2).unbind(1)
    along = (winner * loser).sum(-1)
    scale = (1 - mu) * winner.pow(2).sum(-1) / along.clamp_min(torch.finfo(along.dtype).tiny)
    return torch.where(along > 0, scale.clamp(0, 1), torch.ones_like(scale))


def margin_strength(margins: Sequence[float | None]) -> Tensor:
    """The f of pairs whose scores differ by δ >= 0, 2·σ(δ) − 1 (arXiv 2605.09433): 0 .. 1, (B,)."""
    return 2 * torch.tensor([margin or 0.0 for margin in margins]).sigmoid() - 1


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
    """The denoising loss of freshly noised winners; E_0 and β are not used."""

    sides = 1

    def score(self, error: Tensor, reference_error: Tensor, weight: Tensor) -> Tensor:
        """The winner's error, mean_i ω_i · E_θ(w, i)."""
        return (weight * error[:, 0]).mean(-1)

    def loss(self, score: Tensor) -> Tensor:
        """The score itself."""
        return score


def make_objective(config: TrainConfig) -> Objective:
    """The configured one; the share of SFT and the scale of losers apply only to pairs."""
    kind = OBJECTIVES[config.objective]
    if kind.sides == 1:
        return kind(config.beta)
    return kind(config.beta, config.sft_share, config.loser_scaling)


def has_live_reference(config: TrainConfig) -> bool:
    """Whether E_0 is computed in every step: no cache holds it, or the reference moves."""
    kind = OBJECTIVES[config.objective]
    return kind.live_reference or (config.reference_decay is not None and kind.sides == 2)
