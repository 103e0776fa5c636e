"""How noise enters a latent, what a denoiser predicts there, the inversion grid, and draws.

A point of an image is x = a · x_0 + b · noise in every family of models. With x_0 clean and a level
that says how noisy it is:

    `diffusion` (SD 1.x, 2.x, SDXL)     level ᾱ    a = √ᾱ      b = √(1−ᾱ)    predicts the noise ε
    `rectified_flow` (SD 3, FLUX, …)     level σ    a = 1 − σ   b = σ         predicts noise − x_0

T levels of training, N inversion steps, K points a pair. Levels are kept in float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from invdpo.schemas.errors import ConfigError

Level = TypeVar("Level", float, Tensor)
Shape = tuple[int, ...]
"""(C, H, W) of a latent."""


@dataclass(frozen=True)
class Grid:
    """τ_0 < … < τ_N and the noise level at each of them, from clean to noisy.

    x_{τ_0} is the clean latent, though the network is called with τ_0, the earliest time it knows.
    """

    timesteps: Tensor
    """(N+1,) what the network is called with: int64 for diffusion, float32 for flow."""
    levels: Tensor
    """(N+1,) float64."""

    @property
    def steps(self) -> int:
        """N."""
        return len(self.timesteps) - 1


class NoiseProcess(ABC):
    """The way from data to noise on which a model was trained."""

    predicts: ClassVar[str]
    """What its models predict, in a word."""
    weightings: ClassVar[tuple[str, ...]]
    """Names of the weights that have a meaning here, the default first."""

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
    def _raw_weights(self, name: str, levels: Tensor) -> Tensor:
        """`weights` before they are scaled."""

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

    def check_weighting(self, name: str) -> None:
        """Raise `ConfigError` for a name without a meaning here."""
        if name not in self.weightings:
            raise ConfigError(
                f"weighting: found {name}, which does not apply to a model that predicts "
                f"{self.predicts}; allowed: {', '.join(self.weightings)}."
            )

    def weights(self, name: str, levels: Tensor) -> Tensor:
        """The ω of each level, of mean 1 over those given, so that β keeps its meaning.

        Raises `ConfigError` for a name without a meaning here.
        """
        self.check_weighting(name)
        raw = self._raw_weights(name, levels)
        return (raw / raw.mean()).float()

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


def stratified(total: int, pairs: int, points: int, generator: torch.Generator) -> Tensor:
    """K indices in 0 .. total-1 for each pair, one from each K-th part of the range: (B, K) int64.

    The mean of a function over them estimates its mean over all indices without bias; with
    K = total every index is drawn once.
    """
    offset = torch.rand(pairs, points, generator=generator, dtype=torch.float64)
    index = ((torch.arange(points) + offset) * (total / points)).floor().long()
    return index.clamp(max=total - 1)
