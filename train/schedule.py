"""How noise enters a latent, what a denoiser predicts there, the inversion grid, and weights.

A point of an image is x = a · x_0 + b · noise in every family of models. With x_0 clean and a level
that says how noisy it is:

    `Diffusion` (SD 1.x, 2.x, SDXL)     level ᾱ    a = √ᾱ      b = √(1−ᾱ)    predicts the noise ε
    `RectifiedFlow` (SD 3, FLUX, …)     level σ    a = 1 − σ   b = σ         predicts noise − x_0

T levels of training, N inversion steps, K points a pair. Levels are kept in float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from invdpo.schemas.errors import ConfigError, ModelError

MIN_SNR_GAMMA = 5.0
CLEAN_CAP = 20.0

Level = TypeVar("Level", float, Tensor)
Shape = tuple[int, ...]
"""(C, H, W) of a latent."""


@dataclass(frozen=True)
class Grid:
    """τ_0 < … < τ_N and the noise level at each of them, from clean to noisy.

    x_{τ_0} is the clean latent, though the network is called with τ_0, the earliest time it knows.
    """

    timesteps: Tensor
    """(N+1,) what the network is called with: int64 for `Diffusion`, float32 for flow."""
    levels: Tensor
    """(N+1,) float64."""

    @property
    def steps(self) -> int:
        """N."""
        return len(self.timesteps) - 1


class NoiseProcess(ABC):
    """The way from data to noise on which a model was trained."""

    default_weighting: ClassVar[str]

    @property
    @abstractmethod
    def most_steps(self) -> int:
        """The largest N."""

    @property
    @abstractmethod
    def levels(self) -> int:
        """T."""

    @abstractmethod
    def training_levels(self, shape: Shape) -> Grid:
        """The T levels at which latents of one shape are trained on fresh noise."""

    @abstractmethod
    def coefficients(self, level: Level) -> tuple[Level, Level]:
        """(a, b) at a level."""

    @abstractmethod
    def prediction(self, latent: Tensor, noise: Tensor) -> Tensor:
        """What a denoiser should predict anywhere on the way from a latent to a noise."""

    @abstractmethod
    def step(self, x: Tensor, prediction: Tensor, level: float, to_level: float) -> Tensor:
        """Carry x to another level along a prediction; its own inverse with levels swapped."""

    @abstractmethod
    def weights(self, name: str, levels: Tensor) -> Tensor:
        """The ω of each level, of mean 1 over those given, so that β keeps its meaning.

        Raises `ConfigError` for a name without a meaning here.
        """

    @abstractmethod
    def key(self, steps: int) -> Any:
        """What identifies the grids of N steps, beside the scheduler's own configuration."""

    @abstractmethod
    def _grid(self, steps: int, shape: Shape) -> Grid:
        """`grid` with allowed steps."""

    def grid(self, steps: int, shape: Shape) -> Grid:
        """The inversion grid for one shape. Raises `ConfigError` unless 1 <= N <= most."""
        if not 1 <= steps <= self.most_steps:
            raise ConfigError(
                f"num_inversion_steps: found {steps}; this model allows 1 to {self.most_steps}."
            )
        return self._grid(steps, shape)

    def noised(self, latent: Tensor, noise: Tensor, level: Level) -> Tensor:
        """The point a · x_0 + b · noise."""
        a, b = self.coefficients(level)
        x: Tensor = a * latent + b * noise
        return x

    def noise_in(self, x: Tensor, latent: Tensor, level: Tensor) -> Tensor:
        """The noise that leads straight from the clean latent to x, as in arXiv 2503.18454.

        x and latent (..., C, H, W); the level is broadcastable to x, and not that of a clean one.
        """
        a, b = self.coefficients(level)
        return (x - a * latent) / b


@dataclass(frozen=True)
class Diffusion(NoiseProcess):
    """Variance preserving: `alpha_bar` (T,) float64 is the model's own ᾱ."""

    alpha_bar: Tensor
    default_weighting: ClassVar[str] = "min_snr"

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

    def weights(self, name: str, levels: Tensor) -> Tensor:
        """By SNR = ᾱ / (1 − ᾱ).

        `uniform` 1; `snr` SNR / (1 + SNR) = ᾱ, which fades the noisy end out;
        `min_snr` min(SNR, 5) / SNR (arXiv 2303.09556, for noise), which fades the clean end out;
        `clean` 1 / SNR, at most 20, by which an error of the noise counts as that of the image.
        """
        snr = levels / (1 - levels)
        return _of_mean_one(
            {
                "uniform": torch.ones_like(levels),
                "snr": levels,
                "min_snr": MIN_SNR_GAMMA / snr.clamp(min=MIN_SNR_GAMMA),
                "clean": (1 / snr).clamp(max=CLEAN_CAP),
            }[name]
        )

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


@dataclass(frozen=True)
class RectifiedFlow(NoiseProcess):
    """The straight way, whose levels σ follow from the latent's shape and the number of steps."""

    sigmas: Callable[[int, Shape], Tensor]
    """(N, shape) -> σ from 1 down to 0 as the family's pipeline steps through them, (N+1,)."""
    levels: int = 1000
    default_weighting: ClassVar[str] = "uniform"

    @property
    def most_steps(self) -> int:
        """T."""
        return self.levels

    def training_levels(self, shape: Shape) -> Grid:
        """T levels spread as the sampler's are: σ uniform but for the scheduler's shift."""
        grid = self._grid(self.levels, shape)
        return Grid(grid.timesteps[1:], grid.levels[1:])

    def coefficients(self, level: Level) -> tuple[Level, Level]:
        """1 − σ and σ."""
        return 1 - level, level

    def prediction(self, latent: Tensor, noise: Tensor) -> Tensor:
        """The velocity."""
        return noise - latent

    def step(self, x: Tensor, prediction: Tensor, level: float, to_level: float) -> Tensor:
        """A step of Euler's method."""
        return x + (to_level - level) * prediction

    def weights(self, name: str, levels: Tensor) -> Tensor:
        """`uniform` 1; `clean` σ², by which an error of the velocity counts as that of the image.

        Errors are never weighed as those of the noise, (1−σ)²: that is nothing at σ = 1, where
        every sampler starts and where the layout is decided.
        """
        known = {"uniform": torch.ones_like(levels), "clean": levels.square()}
        if name not in known:
            raise ConfigError(
                f"weighting: found {name}, which is meant for models that predict noise; "
                f"this one predicts a velocity and allows {' and '.join(known)}."
            )
        return _of_mean_one(known[name])

    def key(self, steps: int) -> Any:
        """N; the rest is the scheduler's."""
        return {"flow": steps}

    def _grid(self, steps: int, shape: Shape) -> Grid:
        levels = self.sigmas(steps, shape).double().flip(0)
        return Grid(levels.float(), levels)


def _of_mean_one(raw: Tensor) -> Tensor:
    return (raw / raw.mean()).float()


def alphas(scheduler_config: dict[str, Any]) -> Tensor:
    """ᾱ of every training timestep, (T,) float64, from a diffusers scheduler's config.

    Raises `ModelError` for a schedule without betas, such as flow matching, and for one that ends
    in pure noise, which inversion could reach but not leave again.
    """
    from diffusers import DDPMScheduler

    name = scheduler_config.get("_class_name", "its scheduler")
    if not {"beta_schedule", "trained_betas"} & scheduler_config.keys():
        raise ModelError(f"{name} has no beta schedule, which a model of this kind is drawn by.")
    if scheduler_config.get("rescale_betas_zero_snr"):
        raise ModelError(f"{name} has rescale_betas_zero_snr, whose last step can't be inverted.")
    make: Any = DDPMScheduler.from_config  # untyped
    bar: Tensor = make(scheduler_config).alphas_cumprod.double()
    return bar


def stratified(total: int, pairs: int, points: int, generator: torch.Generator) -> Tensor:
    """K indices in 0 .. total-1 for each pair, one from each K-th part of the range: (B, K) int64.

    The mean of a function over them estimates its mean over all indices without bias; with
    K = total every index is drawn once.
    """
    offset = torch.rand(pairs, points, generator=generator, dtype=torch.float64)
    index = ((torch.arange(points) + offset) * (total / points)).floor().long()
    return index.clamp(max=total - 1)
