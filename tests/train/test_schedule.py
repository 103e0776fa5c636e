from __future__ import annotations

import pytest
import torch

from invdpo.schemas.errors import ConfigError, ModelError
from invdpo.train.schedule import alphas, make_grid, stratified, weights

CONFIG = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def test_alphas_are_the_models_own() -> None:
    bar = alphas(CONFIG)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    torch.testing.assert_close(bar, (1 - betas).cumprod(0), rtol=1e-4, atol=0)


def test_a_schedule_without_betas_is_refused() -> None:
    with pytest.raises(ModelError, match="FlowMatchEulerDiscreteScheduler"):
        alphas({"_class_name": "FlowMatchEulerDiscreteScheduler"})


@pytest.mark.parametrize("steps", [1, 7, 20, 80, 999])
def test_grid_reaches_the_last_timestep_in_real_steps(steps: int) -> None:
    grid = make_grid(alphas(CONFIG), steps)
    assert grid.steps == steps
    assert grid.timesteps[0] == 0
    assert grid.timesteps[-1] == 999
    assert (grid.timesteps.diff() > 0).all()
    assert grid.alpha_bar[0] == 1
    assert (grid.alpha_bar.diff() < 0).all()


@pytest.mark.parametrize("steps", [0, 1000])
def test_grid_that_does_not_fit_is_refused(steps: int) -> None:
    with pytest.raises(ConfigError, match="1 to 999"):
        make_grid(alphas(CONFIG), steps)


@pytest.mark.parametrize("name", ["uniform", "snr", "min_snr", "clean"])
def test_weights_have_mean_one(name: str) -> None:
    omega = weights(name, make_grid(alphas(CONFIG), 20).alpha_bar[1:])
    assert omega.mean().item() == pytest.approx(1, rel=1e-6)
    slope = {"uniform": 0, "snr": -1, "min_snr": 1, "clean": 1}[name]
    assert torch.sign(omega[-1] - omega[0]).item() == slope


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
