"""Means over pairs, with right values by hand."""

from __future__ import annotations

import math

import pytest
import torch

from invdpo.train.metrics import mean_metrics


def test_a_tie_counts_as_half_right() -> None:
    """Two won, one lost, one tie: (1 + 1 + 0 + 1/2) / 4. Before the first step all are ties."""
    rows = [(0.6, 2.0, 1.0), (0.6, 0.5, -1.0), (0.7, -1.0, 0.0), (0.7, 0.25, 0.25)]
    metrics = mean_metrics(torch.tensor(rows, dtype=torch.float64), sides=2)
    assert metrics["rewards/accuracies"] == 0.625
    assert metrics["rewards/margins"] == pytest.approx((1 + 1.5 - 1 + 0) / 4)
    start = torch.tensor([(math.log(2), 0.0, 0.0)] * 3, dtype=torch.float64)
    assert mean_metrics(start, sides=2)["rewards/accuracies"] == 0.5


def test_a_one_sided_objective_has_a_loss_alone() -> None:
    table = torch.tensor([(1.0, 0.0, 0.0), (3.0, 0.0, 0.0)], dtype=torch.float64)
    assert mean_metrics(table, sides=1) == {"loss": 2.0}
    assert mean_metrics(table[:0], sides=2) == {}
