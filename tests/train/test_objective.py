from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from invdpo.schemas.errors import PluginError
from invdpo.train.objective import (
    OBJECTIVES,
    loser_scale,
    margin_strength,
    mean_square,
    noise_error,
    reward,
)


def loss_of(name: str, error: Tensor, reference: Tensor, weight: Tensor, beta: float) -> Tensor:
    """What training minimises, pair by pair."""
    objective = OBJECTIVES[name](beta)
    return objective.loss(objective.score(error, reference, weight))


def errors() -> tuple[Tensor, Tensor, Tensor]:
    """One pair, two points: E_θ − E_0 is (−1, −2) for the winner and (+3, 0) for the loser."""
    error = torch.tensor([[[1.0, 2.0], [5.0, 4.0]]])
    reference = torch.tensor([[[2.0, 4.0], [2.0, 4.0]]])
    return error, reference, torch.tensor([[0.5, 1.5]])


def test_noise_error_is_the_mean_over_the_latent() -> None:
    prediction, target = torch.zeros(2, 3, 1, 2, 2), torch.full((2, 3, 1, 2, 2), 3.0)
    assert torch.equal(noise_error(prediction, target), torch.full((2, 3), 9.0))


def test_reward_in_closed_form() -> None:
    """Winner: −(4/2)·mean(0.5·−1, 1.5·−2) = −2·(−1.75) = 3.5; loser: −2·mean(1.5, 0) = −1.5."""
    assert reward(*errors(), beta=4.0).tolist() == [[3.5, -1.5]]


@pytest.mark.parametrize("name", ["inversion-dpo", "diffusion-dpo"])
def test_loss_in_closed_form(name: str) -> None:
    """s = 3.5 + 1.5 = 5, and −log σ(5) = log(1 + e^−5)."""
    expected = math.log1p(math.exp(-5))
    assert loss_of(name, *errors(), 4.0).item() == pytest.approx(expected, rel=1e-6)


def test_sft_is_the_winners_weighted_error() -> None:
    """mean(0.5·1, 1.5·2) = 1.75, whatever the loser does."""
    error, reference, weight = errors()
    assert loss_of("sft", error, reference, weight, 4.0).item() == pytest.approx(1.75)
    winners = error[:, :1], reference[:, :1]
    assert loss_of("sft", *winners, weight, 0.0).item() == pytest.approx(1.75)


def test_beta_zero_gives_ln_2() -> None:
    assert loss_of("inversion-dpo", *errors(), 0.0).item() == pytest.approx(math.log(2))


def test_swapping_winner_and_loser_flips_the_sign() -> None:
    error, reference, weight = errors()
    score = OBJECTIVES["inversion-dpo"](4.0).score
    swapped = score(error.flip(1), reference.flip(1), weight)
    assert swapped.item() == -score(error, reference, weight).item()


def test_loss_is_finite_far_out() -> None:
    error, reference, weight = errors()
    both = (error, error.flip(1))
    losses = [loss_of("inversion-dpo", e, reference, weight, 1e6) for e in both]
    assert all(torch.isfinite(loss).all() for loss in losses)


def test_unknown_objective_lists_the_known() -> None:
    with pytest.raises(PluginError, match="diffusion-dpo, inversion-dpo, sft"):
        OBJECTIVES["dpo"]


def test_strength_of_margins_is_2_sigmoid_minus_1() -> None:
    strength = margin_strength([0.0, math.log(3), 40.0])
    torch.testing.assert_close(strength, torch.tensor([0.0, 0.5, 1.0]))


def test_a_share_of_sft_is_the_winners_reward() -> None:
    """−log σ(f·s) − α·r_w with r_w = −(β/2)·mean ω·(E_θ − E_0)(w)."""
    objective = OBJECTIVES["diffusion-dpo"](2.0, sft_share=0.25)
    error = torch.tensor([[[3.0, 1.0], [2.0, 2.0]]], dtype=torch.float64)
    reference, weight = torch.ones_like(error), torch.tensor([[0.5, 1.5]], dtype=torch.float64)
    winner = -(0.5 * 2 + 1.5 * 0) / 2
    loser = -(0.5 * 1 + 1.5 * 1) / 2
    expected = math.log1p(math.exp(-0.4 * (winner - loser))) - 0.25 * winner
    total = objective.total(error, reference, weight, torch.tensor([0.4], dtype=torch.float64))
    assert total.item() == pytest.approx(expected, rel=1e-12)


def test_the_loser_is_scaled_such_that_a_share_of_the_winners_gain_is_left() -> None:
    """g_w = (1, 0): losers along it, against it, across it, and much smaller."""
    winner = torch.tensor([1.0, 0.0], dtype=torch.float64)
    losers = torch.tensor([[2.0, 5.0], [-1.0, 0.0], [0.0, 3.0], [0.1, 0.0]], dtype=torch.float64)
    residual = torch.stack([winner.expand(4, 2), losers], 1).view(4, 2, 1, 1, 1, 2)
    scale = loser_scale(residual, torch.ones(4, 1, dtype=torch.float64), None, mu=0.6)
    expected = torch.tensor([0.4 / 2, 1.0, 1.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(scale, expected)
    gain = ((winner - scale[:, None] * losers) * winner).sum(-1)
    assert (gain >= 0.6 - 1e-12).all()


def test_regions_weigh_positions() -> None:
    residual = torch.tensor([[[1.0, 2.0]]], dtype=torch.float64)
    region = torch.tensor([[1.5, 0.5]], dtype=torch.float64)
    assert mean_square(residual, region).item() == pytest.approx((1.5 * 1 + 0.5 * 4) / 2)
