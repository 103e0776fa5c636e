"""Means over pairs, with right values by hand."""

from __future__ import annotations

import math

import pytest
import torch

from invdpo.train.batches import Batch
from invdpo.train.metrics import Columns, mean_metrics, pair_table, shown
from invdpo.train.objective import OBJECTIVES


def rows(*first: tuple[float, ...]) -> torch.Tensor:
    """A table with these first columns."""
    table = torch.zeros(len(first), Columns.COUNT, dtype=torch.float64)
    table[:, : len(first[0])] = torch.tensor(first, dtype=torch.float64)
    return table


def test_a_tie_counts_as_half_right() -> None:
    """Two won, one lost, one tie: (1 + 1 + 0 + 1/2) / 4. Before the first step all are ties."""
    metrics = mean_metrics(
        rows((0.6, 2.0, 1.0), (0.6, 0.5, -1.0), (0.7, -1.0, 0.0), (0.7, 0.25, 0.25)), sides=2
    )
    assert metrics["rewards/accuracies"] == 0.625
    assert metrics["rewards/margins"] == pytest.approx((1 + 1.5 - 1 + 0) / 4)
    assert metrics["rewards/negative_margins"] == 0.25
    start = mean_metrics(rows(*[(math.log(2), 0.0, 0.0)] * 3), sides=2)
    assert (start["rewards/accuracies"], start["rewards/negative_margins"]) == (0.5, 0)


def test_a_one_sided_objective_has_a_loss_and_an_error_alone() -> None:
    table = rows((1.0, 0.0, 0.0, 0.5), (3.0, 0.0, 0.0, 0.7))
    assert mean_metrics(table, sides=1) == {"loss": 2.0, "errors/chosen": pytest.approx(0.6)}
    assert mean_metrics(table[:0], sides=2) == {}


def test_progress_shows_the_step_and_the_running_mean() -> None:
    metrics = {"loss": 0.5, "rewards/accuracies": 0.75, "learning_rate": 1e-4, "running/loss": 0.6}
    assert shown(metrics) == {"loss": "0.5000 (0.6000)", "accuracy": "0.75", "rate": "0.0001"}


def test_margins_by_noise_level_by_hand() -> None:
    """β = 2, so that a reward is −mean ω·(E_θ − E_0).

    The first pair has one clean point, with rewards .4 and −.2, and one noisy point, with −.1 and
    .3 at weight 2; the second pair has two noisy points, with margins .5 and .1.
    """
    zero = torch.zeros(2, 2, 2, 1, 1, 1)
    error = torch.tensor(
        [[[0.6, 1.05], [1.2, 0.85]], [[0.5, 0.5], [1.0, 0.6]]], dtype=torch.float64
    )
    reference = torch.tensor(
        [[[1.0, 1.0], [1.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]]], dtype=torch.float64
    )
    batch = Batch(
        x=zero,
        target=zero,
        timesteps=torch.zeros(2, 2),
        weight=torch.tensor([[1.0, 2.0], [1.0, 1.0]], dtype=torch.float64),
        reference_error=reference,
        conditioning={},
        quartile=torch.tensor([[0, 3], [3, 3]]),
    )
    metrics = mean_metrics(pair_table(error, batch, OBJECTIVES["inversion-dpo"](2.0)), sides=2)
    assert metrics["errors/chosen"] == pytest.approx((0.6 + 1.05 + 0.5 + 0.5) / 4)
    assert metrics["errors/chosen_reference"] == pytest.approx(0.75)
    assert metrics["errors/rejected"] == pytest.approx((1.2 + 0.85 + 1.0 + 0.6) / 4)
    assert metrics["errors/rejected_reference"] == pytest.approx(0.75)
    assert metrics["rewards/margins_noise_1"] == pytest.approx(0.4 + 0.2)
    noisy = (-0.1 - 0.3, (0.5 + 0.1) / 2)
    assert metrics["rewards/margins_noise_4"] == pytest.approx(sum(noisy) / 2)
    assert metrics["rewards/accuracies_noise_1"] == 1
    assert metrics["rewards/accuracies_noise_4"] == 0.5
    assert "rewards/margins_noise_2" not in metrics
    whole = (0.6 - 0.4) / 2, (0.5 + 0.1) / 2
    assert metrics["rewards/margins"] == pytest.approx(sum(whole) / 2)
