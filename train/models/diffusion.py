"""The noise process of models that predict noise: Stable Diffusion 1.x, 2.x and SDXL.

T levels of training. ᾱ is kept in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from invdpo.schemas.errors import ModelError
from invdpo.train.schedule import Grid, Level, NoiseProcess, Shape

MIN_SNR_GAMMA = 5.0
CLEAN_CAP = 20.0


@dataclass(frozen=True)
class Diffusion(NoiseProcess):
    """Variance preserving: `alpha_bar` (T,) float64 is the model's own ᾱ."""

    alpha_bar: Tensor
    predicts: ClassVar[str] = "noise"
    weightings: ClassVar[tuple[str, ...]] = ("min_snr", "uniform", "snr", "clean")

    @property
    def most_steps(self) -> int:
        """T − 1."""
        return self.levels - 1

    @property
    def levels(self) -> int:
        """T."""
        return len(self.alpha_bar)

    def training_levels(self, shape: Shape) -> Grid:
        """The same for all shapes."""
        return Grid(torch.arange(self.levels), self.alpha_bar)

    def coefficients(self, level: Level) -> tuple[Level, Level]:
        """√ᾱ and √(1−ᾱ)."""
        return level**0.5, (1 - level) ** 0.5

    def prediction(self, latent: Tensor, noise: Tensor) -> Tensor:
        """The noise."""
        return noise

    def step(self, x: Tensor, prediction: Tensor, level: float, to_level: float) -> Tensor:
        """A step of DDIM."""
        clean: Tensor = (x - (1 - level) ** 0.5 * prediction) / level**0.5
        moved: Tensor = to_level**0.5 * clean + (1 - to_level) ** 0.5 * prediction
        return moved

    def _raw_weights(self, name: str, levels: Tensor) -> Tensor:
        """By SNR = ᾱ / (1 − ᾱ).

        `uniform` 1; `snr` SNR / (1 + SNR) = ᾱ, which fades the noisy end out;
        `min_snr` min(SNR, 5) / SNR (arXiv 2303.09556, for noise), which fades the clean end out;
        `clean` 1 / SNR, at most 20, by which an error of the noise counts as that of the image.
        """
        snr = levels / (1 - levels)
        return {
            "uniform": torch.ones_like(levels),
            "snr": levels,
            "min_snr": MIN_SNR_GAMMA / snr.clamp(min=MIN_SNR_GAMMA),
            "clean": (1 / snr).clamp(max=CLEAN_CAP),
        }[name]

    def key(self, steps: int) -> Any:
        """The timesteps."""
        return self.grid(steps, ()).timesteps.tolist()

    def _grid(self, steps: int, shape: Shape) -> Grid:
        """N equal steps from timestep 0 to T-1, where ᾱ is 1 at the first."""
        last = self.levels - 1
        timesteps = torch.linspace(0, last, steps + 1, dtype=torch.float64).round().long()
        levels = self.alpha_bar[timesteps].clone()
        levels[0] = 1.0
        return Grid(timesteps, levels)


def alphas(scheduler_config: dict[str, Any]) -> Tensor:
    """ᾱ of every training timestep, (T,) float64, from a diffusers scheduler's config.

    Raises `ModelError` for a schedule without betas, such as flow matching, and for one that ends
    in pure noise, which inversion could reach but not leave again.
    """
    from diffusers import DDPMScheduler

    name = scheduler_config.get("_class_name", "its scheduler")
    if not {"beta_schedule", "trained_betas"} & scheduler_config.keys():
        raise ModelError(f"{name} has no beta schedule, which a model of this kind needs.")
    if scheduler_config.get("rescale_betas_zero_snr"):
        raise ModelError(f"{name} has rescale_betas_zero_snr, whose last step can't be inverted.")
    make: Any = DDPMScheduler.from_config  # untyped
    bar: Tensor = make(scheduler_config).alphas_cumprod.double()
    return bar
