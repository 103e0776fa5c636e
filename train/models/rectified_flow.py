"""The noise process of models that predict a velocity: Stable Diffusion 3, FLUX and their kind.

T levels of training, N inversion steps. σ is kept in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from invdpo.train.schedule import Grid, Level, NoiseProcess, Shape


@dataclass(frozen=True)
class RectifiedFlow(NoiseProcess):
    """The straight way, whose levels σ follow from the latent's shape and the number of steps."""

    sigmas: Callable[[int, Shape], Tensor]
    """(N, shape) -> σ from 1 down to 0 as the family's pipeline steps through them, (N+1,)."""
    levels: int = 1000
    predicts: ClassVar[str] = "a velocity"
    weightings: ClassVar[tuple[str, ...]] = ("uniform", "clean")

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

    def _raw_weights(self, name: str, levels: Tensor) -> Tensor:
        """`uniform` 1; `clean` σ², by which an error of the velocity counts as that of the image.

        Errors are never weighed as those of the noise, (1−σ)²: that is nothing at σ = 1, where
        every sampler starts and where the layout is decided.
        """
        return levels.square() if name == "clean" else torch.ones_like(levels)

    def key(self, steps: int) -> Any:
        """N; the rest is the scheduler's."""
        return {"flow": steps}

    def _grid(self, steps: int, shape: Shape) -> Grid:
        levels = self.sigmas(steps, shape).double().flip(0)
        return Grid(levels.float(), levels)
