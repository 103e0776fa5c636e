from __future__ import annotations

import pytest
import torch

from invdpo.schemas.errors import ConfigError, ModelError
from invdpo.train.models.diffusion import Diffusion, alphas
from invdpo.train.models.rectified_flow import RectifiedFlow
from invdpo.train.schedule import stratified

CONFIG = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SHAPE = (4, 8, 8)


def shifted(steps: int, shape: tuple[int, ...]) -> torch.Tensor:
    """σ of a shift of 3, as Stable Diffusion 3 has it."""
    sigma = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return 3 * sigma / (1 + 2 * sigma)


FLOW = RectifiedFlow(shifted)


def test_alphas_are_the_models_own() -> None:
    bar = alphas(CONFIG)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    torch.testing.assert_close(bar, (1 - betas).cumprod(0), rtol=1e-4, atol=0)


def test_a_schedule_without_betas_is_refused() -> None:
    with pytest.raises(ModelError, match="FlowMatchEulerDiscreteScheduler"):
        alphas({"_class_name": "FlowMatchEulerDiscreteScheduler"})


@pytest.mark.parametrize("steps", [1, 7, 20, 80, 999])
def test_grid_reaches_the_last_timestep_in_real_steps(steps: int) -> None:
    grid = Diffusion(alphas(CONFIG)).grid(steps, SHAPE)
    assert grid.steps == steps
    assert grid.timesteps[0] == 0
    assert grid.timesteps[-1] == 999
    assert (grid.timesteps.diff() > 0).all()
    assert grid.levels[0] == 1
    assert (grid.levels.diff() < 0).all()


def test_a_grid_of_flow_is_the_samplers_turned_round() -> None:
    grid = FLOW.grid(4, SHAPE)
    assert grid.steps == 4
    torch.testing.assert_close(grid.levels, shifted(4, SHAPE).flip(0))
    assert grid.levels[0] == 0
    assert grid.levels[-1] == 1
    torch.testing.assert_close(grid.timesteps, grid.levels.float())


def test_levels_of_training_leave_the_clean_one_out() -> None:
    levels = FLOW.training_levels(SHAPE).levels
    assert len(levels) == FLOW.levels == 1000
    assert levels.min() > 0
    # half of them lie above σ = .75 where the shift is 3
    assert (levels > 0.75).double().mean().item() == pytest.approx(0.5, abs=2e-3)
    everywhere = Diffusion(alphas(CONFIG)).training_levels(SHAPE)
    assert everywhere.timesteps.tolist() == list(range(1000))


@pytest.mark.parametrize("steps", [0, 1000])
def test_grid_that_does_not_fit_is_refused(steps: int) -> None:
    with pytest.raises(ConfigError, match="1 to 999"):
        Diffusion(alphas(CONFIG)).grid(steps, SHAPE)


def test_a_grid_of_flow_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="found 1001; this model allows 1 to 1000"):
        FLOW.grid(1001, SHAPE)


@pytest.mark.parametrize("name", ["uniform", "snr", "min_snr", "clean"])
def test_weights_have_mean_one(name: str) -> None:
    process = Diffusion(alphas(CONFIG))
    omega = process.weights(name, process.grid(20, SHAPE).levels[1:])
    assert omega.mean().item() == pytest.approx(1, rel=1e-6)
    slope = {"uniform": 0, "snr": -1, "min_snr": 1, "clean": 1}[name]
    assert torch.sign(omega[-1] - omega[0]).item() == slope


def test_weights_of_flow_are_of_the_velocity() -> None:
    """An error of the velocity is σ² times that of the clean image."""
    levels = FLOW.grid(4, SHAPE).levels[1:]
    assert FLOW.weights("uniform", levels).tolist() == [1, 1, 1, 1]
    clean = FLOW.weights("clean", levels)
    torch.testing.assert_close(clean, (levels**2 / (levels**2).mean()).float())


@pytest.mark.parametrize("name", ["snr", "min_snr"])
def test_weights_of_noise_are_refused_for_flow(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"weighting: found {name}.*allowed: uniform, clean"):
        FLOW.weights(name, torch.tensor([0.5]))


@pytest.mark.parametrize("process", [Diffusion(alphas(CONFIG)), FLOW], ids=["diffusion", "flow"])
def test_the_noise_of_a_point_is_the_one_it_was_made_of(
    process: Diffusion | RectifiedFlow,
) -> None:
    latent, noise = torch.randn(2, 3, *SHAPE, generator=torch.Generator().manual_seed(0)).double()
    level = process.grid(5, SHAPE).levels[3]
    x = process.noised(latent, noise, level)
    torch.testing.assert_close(process.noise_in(x, latent, level), noise)
    clean = 1.0 if isinstance(process, Diffusion) else 0.0
    there = process.step(latent, process.prediction(latent, noise), clean, level.item())
    torch.testing.assert_close(there, x)


def test_stratified_draws_once_from_each_part() -> None:
    index = stratified(20, 500, 4, torch.Generator().manual_seed(0))
    assert (index // 5 == torch.arange(4)).all()
    assert set(index.flatten().tolist()) == set(range(20))


def test_stratified_takes_every_point_when_there_are_as_many() -> None:
    index = stratified(20, 3, 20, torch.Generator().manual_seed(0))
    assert (index == torch.arange(20)).all()


def test_stratified_is_unbiased_where_the_parts_are_uneven() -> None:
    index = stratified(10, 40_000, 3, torch.Generator().manual_seed(0))
    share = torch.bincount(index.flatten(), minlength=10) / index.numel()
    torch.testing.assert_close(share, torch.full((10,), 0.1), atol=0.005, rtol=0)
