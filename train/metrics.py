"""Losses and implicit rewards of pairs, under the names that trl uses.

Shapes: B pairs, S sides, K points. A table has a row for each pair: its loss, its winner's reward,
its loser's; the rewards are zero for one-sided objectives.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from invdpo.schemas.errors import DataError
from invdpo.train.batches import Batch
from invdpo.train.data import Pair
from invdpo.train.objective import Objective, reward

Metrics = dict[str, float]

VALIDATION_POINTS = 8
"""Points at which a validation pair is evaluated; the same in every validation and every run."""


def pair_table(error: Tensor, batch: Batch, objective: Objective) -> Tensor:
    """From errors (B, S, K) to rows of a table, (B, 3) float64 on the CPU."""
    given = error, batch.reference_error, batch.weight
    loss = objective.total(*given, batch.strength_of(slice(None)))
    rewards = error.new_zeros(len(error), 2)
    if objective.sides == 2:
        rewards = reward(*given, objective.beta)
    return torch.cat([loss[:, None], rewards], 1).detach().double().cpu()


def mean_metrics(table: Tensor, sides: int) -> Metrics:
    """Means over the rows (B, 3) of a table; nothing without rows.

    A tie, as all pairs are before the first step, counts as half right.
    """
    if not len(table):
        return {}
    loss, chosen, rejected = table.unbind(1)
    metrics = {"loss": loss.mean().item()}
    if sides == 2:
        half_wins = (chosen > rejected).int() + (chosen >= rejected).int()
        metrics |= {
            "rewards/chosen": chosen.mean().item(),
            "rewards/rejected": rejected.mean().item(),
            "rewards/margins": (chosen - rejected).mean().item(),
            "rewards/accuracies": half_wins.double().mean().item() / 2,
        }
    return metrics


def check_finite(table: Tensor, norm: float, pairs: Sequence[Pair], step: int) -> None:
    """Raise `DataError` naming the pair whose loss, or the step whose gradient, is not finite."""
    bad = [pair for pair, loss in zip(pairs, table[:, 0], strict=True) if not loss.isfinite()]
    if not bad and torch.tensor(norm).isfinite():
        return
    what = (
        f"the loss of pair {bad[0].pair_id} ({bad[0].row}) is not finite"
        if bad
        else "the gradient is not finite"
    )
    raise DataError(
        f"Step {step}: {what}; the weights were left as they were. "
        "Look at the pair's pictures, or lower the learning rate, or train in float32."
    )
