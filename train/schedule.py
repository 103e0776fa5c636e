"""Noise levels: the model's own ᾱ, the inversion grid on it, weights, stratified draws.

T training timesteps, N inversion steps, K points a pair. ᾱ is kept in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from invdpo.schemas.errors import ConfigError, ModelError

MIN_SNR_GAMMA = 5.0
CLEAN_CAP = 20.0


@dataclass(frozen=True)
class Grid:
    """τ_0 < … < τ_N and the ᾱ at each of them.

    x_{τ_0} is the clean latent, so ᾱ there is 1, though the network is called with τ_0 = 0, the
    earliest timestep that it knows. τ_N is the last timestep of training.
    """

    timesteps: Tensor
    """(N+1,) int64."""
    alpha_bar: Tensor
    """(N+1,) float64."""

    @property
    def steps(self) -> int:
        """N."""
        return len(self.timesteps) - 1


def alphas(scheduler_config: dict[str, Any]) -> Tensor:
    """ᾱ of every training timestep, (T,) float64, from a diffusers scheduler's config.

    Raises `ModelError` for a schedule without betas, such as flow matching, and for one that ends
    in pure noise, which inversion could reach but not leave again.
    """
    from diffusers import DDPMScheduler

    name = scheduler_config.get("_class_name", "its scheduler")
    if not {"beta_schedule", "trained_betas"} & scheduler_config.keys():
        raise ModelError(f"{name} has no beta schedule; models with one (SD, SDXL) can be trained.")
    if scheduler_config.get("rescale_betas_zero_snr"):
        raise ModelError(f"{name} has rescale_betas_zero_snr, whose last step can't be inverted.")
    make: Any = DDPMScheduler.from_config  # untyped
    bar: Tensor = make(scheduler_config).alphas_cumprod.double()
    return bar


def make_grid(alpha_bar: Tensor, steps: int) -> Grid:
    """N equal steps from timestep 0 to T-1. Raises `ConfigError` unless 1 <= N <= T-1."""
    last = len(alpha_bar) - 1
    if not 1 <= steps <= last:
        raise ConfigError(f"num_inversion_steps: found {steps}; this model allows 1 to {last}.")
    timesteps = torch.linspace(0, last, steps + 1, dtype=torch.float64).round().long()
    levels = alpha_bar[timesteps].clone()
    levels[0] = 1.0
    return Grid(timesteps, levels)


def weights(name: str, alpha_bar: Tensor) -> Tensor:
    """The ω of each noise level, of mean 1 over those given, so that β keeps its meaning.

    With SNR = ᾱ / (1 − ᾱ):
    `uniform` 1; `snr` SNR / (1 + SNR) = ᾱ, which fades the noisy end out;
    `min_snr` min(SNR, 5) / SNR (arXiv 2303.09556, for noise), which fades the clean end out;
    `clean` 1 / SNR, at most 20, by which an error of the noise counts as that of the clean picture.
    """
    snr = alpha_bar / (1 - alpha_bar)
    raw = {
        "uniform": torch.ones_like(alpha_bar),
        "snr": alpha_bar,
        "min_snr": MIN_SNR_GAMMA / snr.clamp(min=MIN_SNR_GAMMA),
        "clean": (1 / snr).clamp(max=CLEAN_CAP),
    }[name]
    return (raw / raw.mean()).float()


def stratified(total: int, pairs: int, points: int, generator: torch.Generator) -> Tensor:
    """K indices in 0 .. total-1 for each pair, one from each K-th part of the range: (B, K) int64.

    The mean of a function over them estimates its mean over all indices without bias; with
    K = total every index is drawn once.
    """
    offset = torch.rand(pairs, points, generator=generator, dtype=torch.float64)
    index = ((torch.arange(points) + offset) * (total / points)).floor().long()
    return index.clamp(max=total - 1)
