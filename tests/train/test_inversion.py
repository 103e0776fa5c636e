"""Walks from data to noise in both kinds of models, mostly in closed form."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from invdpo.train.inversion import (
    Point,
    Predict,
    calls,
    endpoint_target,
    guided,
    invert,
    regenerate,
)
from invdpo.train.models.diffusion import Diffusion, alphas
from invdpo.train.models.rectified_flow import RectifiedFlow
from invdpo.train.schedule import Grid, NoiseProcess

DIFFUSION = Diffusion(alphas({"beta_schedule": "linear"}))
FLOW = RectifiedFlow(lambda steps, shape: torch.linspace(1, 0, steps + 1, dtype=torch.float64))
PROCESSES = pytest.mark.parametrize("process", [DIFFUSION, FLOW], ids=["diffusion", "flow"])
LATENT = torch.randn(2, 4, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
SHAPE = LATENT.shape[1:]


def stacked(
    predict: Predict,
    process: NoiseProcess = DIFFUSION,
    latent: Tensor = LATENT,
    grid: Grid | None = None,
    corrections: int = 0,
) -> Point:
    """All points of a walk, each part (B, N, C, H, W)."""
    walk = list(invert(predict, process, latent, grid or process.grid(5, SHAPE), corrections))
    return Point(*(torch.stack([getattr(p, n) for p in walk], 1) for n in Point.__annotations__))


def linear(x: Tensor, timestep: float) -> tuple[Tensor, Tensor]:
    return 0.5 * x, 0.5 * x


def curved(x: Tensor, timestep: float) -> tuple[Tensor, Tensor]:
    return torch.sin(3 * x + timestep), torch.sin(3 * x + timestep)


def test_linear_noise_in_closed_form() -> None:
    """With e = x/2 a step multiplies x by √ᾱ'·(1 − √(1−ᾱ)/2)/√ᾱ + √(1−ᾱ')/2."""
    walk = stacked(linear)
    factor = 1.0
    levels = DIFFUSION.grid(5, SHAPE).levels.tolist()
    for i, (a, b) in enumerate(pairwise(levels)):
        torch.testing.assert_close(walk.implied[:, i], 0.5 * factor * LATENT)
        factor *= b**0.5 * (1 - (1 - a) ** 0.5 / 2) / a**0.5 + (1 - b) ** 0.5 / 2
        torch.testing.assert_close(walk.x[:, i], factor * LATENT)
        torch.testing.assert_close(walk.reference[:, i], 0.5 * factor * LATENT)


def test_linear_velocity_in_closed_form() -> None:
    """With v = x/2 a step of .2 multiplies x by 1.1."""
    walk = stacked(linear, FLOW)
    for i in range(5):
        torch.testing.assert_close(walk.x[:, i], 1.1 ** (i + 1) * LATENT)
        torch.testing.assert_close(walk.implied[:, i], 0.5 * 1.1**i * LATENT)


@PROCESSES
def test_a_constant_prediction_makes_all_residuals_agree(process: NoiseProcess) -> None:
    noise = torch.randn_like(LATENT)
    constant = process.prediction(LATENT, noise)
    walk = stacked(lambda x, t: (constant, constant), process)
    level = process.grid(5, SHAPE).levels[1:].view(-1, 1, 1, 1)
    endpoint = endpoint_target(process, walk.x, LATENT[:, None], level)
    torch.testing.assert_close(endpoint, walk.implied)
    torch.testing.assert_close(walk.reference, walk.implied)


@PROCESSES
@pytest.mark.parametrize("corrections", [0, 2])
def test_the_implied_prediction_returns_exactly(process: NoiseProcess, corrections: int) -> None:
    walk = stacked(curved, process, corrections=corrections)
    levels = process.grid(5, SHAPE).levels.tolist()
    x = walk.x[:, -1]
    for i in reversed(range(5)):
        x = process.step(x, walk.implied[:, i], levels[i + 1], levels[i])
    torch.testing.assert_close(x, LATENT)


@PROCESSES
@pytest.mark.parametrize("corrections", [0, 1, 2])
def test_the_network_is_asked_once_a_grid_point_and_once_a_correction(
    process: NoiseProcess, corrections: int
) -> None:
    asked: list[float] = []

    def count(x: Tensor, timestep: float) -> tuple[Tensor, Tensor]:
        asked.append(timestep)
        return x, x

    stacked(count, process, corrections=corrections)
    first, *others = process.grid(5, SHAPE).timesteps.tolist()
    assert asked == [first, *(t for t in others for _ in range(corrections + 1))]
    assert len(asked) == calls(5, corrections)


@PROCESSES
def test_corrections_bring_the_sampler_nearer(process: NoiseProcess) -> None:
    grid, errors = process.grid(10, SHAPE), []
    for corrections in (0, 1, 3, 8):
        end = stacked(linear, process, grid=grid, corrections=corrections).x[:, -1]
        errors.append(float((regenerate(linear, process, end, grid) - LATENT).norm()))
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[3] < 1e-3 * errors[0]


def test_the_first_step_moves() -> None:
    noise = torch.ones_like(LATENT)
    walk = stacked(lambda x, t: (noise, noise))
    assert (walk.x[:, 0] - LATENT).abs().min() > 0.01


@pytest.mark.parametrize(("scale", "expected"), [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)])
def test_guidance(scale: float, expected: float) -> None:
    assert guided(torch.tensor(3.0), torch.tensor(1.0), scale).item() == expected


def test_guided_inversion_keeps_the_references_own_noise() -> None:
    walk = stacked(lambda x, t: (2 * x, x))
    torch.testing.assert_close(walk.reference, walk.x)


def test_a_schedule_that_ends_in_pure_noise_can_be_walked() -> None:
    grid = DIFFUSION.grid(5, SHAPE)
    grid = Grid(grid.timesteps, torch.cat([grid.levels[:-1], torch.zeros(1)]))
    assert stacked(linear, grid=grid).x.isfinite().all()


def test_the_grid_ends_at_the_last_timestep() -> None:
    for steps in (1, 3, 80, 999):
        assert DIFFUSION.grid(steps, SHAPE).timesteps[-1] == 999


@PROCESSES
def test_regeneration_undoes_an_inversion_along_straight_lines(process: NoiseProcess) -> None:
    constant = torch.randn_like(LATENT)
    grid = process.grid(5, SHAPE)
    end = stacked(lambda x, t: (constant, constant), process).x[:, -1]
    back = regenerate(lambda x, t: (constant, constant), process, end, grid)
    torch.testing.assert_close(back, LATENT)


@PROCESSES
def test_regeneration_comes_closer_on_finer_grids(process: NoiseProcess) -> None:
    errors = []
    for steps in (5, 20, 80):
        grid = process.grid(steps, SHAPE)
        end = stacked(linear, process, grid=grid).x[:, -1]
        errors.append(float((regenerate(linear, process, end, grid) - LATENT).norm()))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_accumulators_stay_float32_under_autocast() -> None:
    layer = torch.nn.Linear(3, 3)

    def half(x: Tensor, timestep: float) -> tuple[Tensor, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            noise = layer(x)
        return noise.to(x.dtype), noise.to(x.dtype)

    walk = stacked(half, latent=LATENT.float())
    assert {walk.x.dtype, walk.implied.dtype, walk.reference.dtype} == {torch.float32}
