from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from invdpo.train.inversion import ddim_step, endpoint_noise, guided, invert
from invdpo.train.schedule import Grid, alphas, make_grid

GRID = make_grid(alphas({"beta_schedule": "linear"}), 5)
LATENT = torch.randn(2, 4, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def linear(x: Tensor, timestep: int) -> tuple[Tensor, Tensor]:
    return 0.5 * x, 0.5 * x


def test_linear_noise_in_closed_form() -> None:
    """With e = x/2 a step multiplies x by √ᾱ'·(1 − √(1−ᾱ)/2)/√ᾱ + √(1−ᾱ')/2."""
    walk = invert(linear, LATENT, GRID)
    factor = 1.0
    levels = GRID.alpha_bar.tolist()
    for i, (a, b) in enumerate(pairwise(levels)):
        torch.testing.assert_close(walk.implied[:, i], 0.5 * factor * LATENT)
        factor *= b**0.5 * (1 - (1 - a) ** 0.5 / 2) / a**0.5 + (1 - b) ** 0.5 / 2
        torch.testing.assert_close(walk.x[:, i], factor * LATENT)
        torch.testing.assert_close(walk.reference[:, i], 0.5 * factor * LATENT)


def test_constant_noise_makes_all_residuals_agree() -> None:
    noise = torch.randn_like(LATENT)
    walk = invert(lambda x, t: (noise, noise), LATENT, GRID)
    level = GRID.alpha_bar[1:].view(-1, 1, 1, 1)
    endpoint = endpoint_noise(walk.x, LATENT[:, None], level)
    torch.testing.assert_close(endpoint, walk.implied)
    torch.testing.assert_close(walk.reference, walk.implied)


def test_implied_noise_returns_exactly() -> None:
    def curved(x: Tensor, timestep: int) -> tuple[Tensor, Tensor]:
        return torch.sin(3 * x + timestep), torch.sin(3 * x + timestep)

    walk, levels = invert(curved, LATENT, GRID), GRID.alpha_bar.tolist()
    x = walk.x[:, -1]
    for i in reversed(range(GRID.steps)):
        x = ddim_step(x, walk.implied[:, i], levels[i + 1], levels[i])
    torch.testing.assert_close(x, LATENT)


def test_the_network_is_asked_once_a_grid_point() -> None:
    asked: list[int] = []

    def count(x: Tensor, timestep: int) -> tuple[Tensor, Tensor]:
        asked.append(timestep)
        return x, x

    invert(count, LATENT, GRID)
    assert asked == GRID.timesteps.tolist()


def test_the_first_step_moves() -> None:
    noise = torch.ones_like(LATENT)
    walk = invert(lambda x, t: (noise, noise), LATENT, GRID)
    assert (walk.x[:, 0] - LATENT).abs().min() > 0.01


@pytest.mark.parametrize(("scale", "expected"), [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)])
def test_guidance(scale: float, expected: float) -> None:
    assert guided(torch.tensor(3.0), torch.tensor(1.0), scale).item() == expected


def test_guided_inversion_keeps_the_references_own_noise() -> None:
    walk = invert(lambda x, t: (2 * x, x), LATENT, GRID)
    torch.testing.assert_close(walk.reference, walk.x)


def test_a_schedule_that_ends_in_pure_noise_can_be_walked() -> None:
    grid = Grid(GRID.timesteps, torch.cat([GRID.alpha_bar[:-1], torch.zeros(1)]))
    assert invert(linear, LATENT, grid).x.isfinite().all()
