"""What is found out about pairs: losses and implicit rewards, under the names trl uses.

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
from invdpo.train.gradient import Goal
from invdpo.train.objective import reward

Metrics = dict[str, float]


def judge(error: Tensor, batch: Batch, goal: Goal) -> Tensor:
    """From errors (B, S, K) to rows of a table, (B, 3) float64 on the CPU."""
    loss = goal.objective.loss(goal.score(error, batch))
    rewards = error.new_zeros(len(error), 2)
    if goal.objective.sides == 2:
        reference = batch.reference_error.to(error)
        rewards = reward(error, reference, batch.weight.to(error), goal.beta)
    return torch.cat([loss[:, None], rewards], 1).detach().double().cpu()


def means(table: Tensor, sides: int) -> Metrics:
    """Means over the rows (B, 3) of a table; nothing without rows."""
    if not len(table):
        return {}
    loss, chosen, rejected = table.unbind(1)
    found = {"loss": loss.mean().item()}
    if sides == 2:
        found |= {
            "rewards/chosen": chosen.mean().item(),
            "rewards/rejected": rejected.mean().item(),
            "rewards/margins": (chosen - rejected).mean().item(),
            "rewards/accuracies": (chosen > rejected).double().mean().item(),
        }
    return found


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
