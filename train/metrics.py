"""Losses, implicit rewards and errors of pairs, under the names that trl uses where it has one.

Shapes: B pairs, S sides, K points. A table has a row for each pair; `Columns` says what is
where. What one-sided objectives have not is zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from invdpo.schemas.errors import DataError
from invdpo.train.batches import Batch
from invdpo.train.data import Pair
from invdpo.train.objective import Objective, reward

Metrics = dict[str, float]

QUARTILES = 4
"""Parts of the noise levels, from the cleanest to the noisiest."""


class Columns:
    """Of a table: loss, rewards, errors, margins by noise level, and memory."""

    LOSS, CHOSEN, REJECTED = range(3)
    REWARDS = slice(1, 3)
    ERRORS = slice(3, 7)
    """Of the chosen image and its reference's, of the rejected one and its reference's."""
    MARGINS, SEEN, WINS = (slice(7 + QUARTILES * n, 7 + QUARTILES * (n + 1)) for n in range(3))
    """Margin of each quartile, whether the pair has points there, and whether the chosen wins."""
    PEAK = 7 + 3 * QUARTILES
    """Peak memory, in GB, of the process that computed the pair; the loop fills it in."""
    COUNT = PEAK + 1


ERRORS = ("chosen", "chosen_reference", "rejected", "rejected_reference")

VALIDATION_POINTS = 8
"""Points at which a validation pair is evaluated; the same in every validation and every run."""


def pair_table(error: Tensor, batch: Batch, objective: Objective) -> Tensor:
    """From errors (B, S, K) to rows of a table, (B, `Columns.COUNT`) float64 on the CPU."""
    given = error, batch.reference_error, batch.weight
    table = error.new_zeros(len(error), Columns.COUNT)
    table[:, Columns.LOSS] = objective.total(*given, batch.strength_of(slice(None)))
    both = torch.stack([error.mean(-1), batch.reference_error.mean(-1)], -1).flatten(1)
    table[:, Columns.ERRORS][:, : both.shape[1]] = both
    if objective.sides == 2:
        table[:, Columns.REWARDS] = reward(*given, objective.beta)
        _add_quartiles(table, error, batch, objective.beta)
    return table.detach().double().cpu()


def _add_quartiles(table: Tensor, error: Tensor, batch: Batch, beta: float) -> None:
    """The margins of the points in each quarter of the noise levels, as if there were no others."""
    if batch.quartile is None:
        return
    for quartile in range(QUARTILES):
        part = batch.quartile.eq(quartile).to(error)
        seen = part.sum(1)
        weight = batch.weight * part * part.shape[1] / seen.clamp(min=1)[:, None]
        chosen, rejected = reward(error, batch.reference_error, weight, beta).unbind(1)
        table[:, Columns.MARGINS][:, quartile] = chosen - rejected
        table[:, Columns.SEEN][:, quartile] = seen > 0
        table[:, Columns.WINS][:, quartile] = _half_wins(chosen - rejected) * (seen > 0)


def mean_metrics(table: Tensor, sides: int) -> Metrics:
    """Means over the rows of a table; nothing without rows.

    A tie, as all pairs are before the first step, counts as half right. `margins_noise_1` is the
    margin at the cleanest quarter of the noise levels, `margins_noise_4` at the noisiest.
    """
    if not len(table):
        return {}
    metrics = {"loss": table[:, Columns.LOSS].mean().item()}
    errors = table[:, Columns.ERRORS].mean(0).tolist()
    if sides == 1:
        return metrics | {"errors/chosen": errors[0]}
    chosen, rejected = table[:, Columns.CHOSEN], table[:, Columns.REJECTED]
    metrics |= {
        "rewards/chosen": chosen.mean().item(),
        "rewards/rejected": rejected.mean().item(),
        "rewards/margins": (chosen - rejected).mean().item(),
        "rewards/accuracies": _half_wins(chosen - rejected).mean().item(),
        "rewards/negative_margins": (chosen < rejected).double().mean().item(),
    }
    metrics |= {f"errors/{name}": error for name, error in zip(ERRORS, errors, strict=True)}
    margins, seen, wins = (
        table[:, part].sum(0).tolist() for part in (Columns.MARGINS, Columns.SEEN, Columns.WINS)
    )
    for number, (margin, count, won) in enumerate(zip(margins, seen, wins, strict=True), 1):
        if count:
            metrics[f"rewards/margins_noise_{number}"] = margin / count
            metrics[f"rewards/accuracies_noise_{number}"] = won / count
    return metrics


def _half_wins(margin: Tensor) -> Tensor:
    """1 above zero, ½ at it."""
    return ((margin > 0).to(margin) + (margin >= 0).to(margin)) / 2


def shown(metrics: Metrics) -> dict[str, str]:
    """What is shown beside the progress of a training; running means in brackets."""
    known = {
        "loss": ("loss", ".4f"),
        "accuracy": ("rewards/accuracies", ".2f"),
        "margin": ("rewards/margins", ".3g"),
        "rate": ("learning_rate", ".2g"),
    }
    texts = {}
    for name, (key, form) in known.items():
        if key in metrics:
            mean = metrics.get(f"running/{key}")
            texts[name] = f"{metrics[key]:{form}}" + ("" if mean is None else f" ({mean:{form}})")
    return texts


def check_finite(table: Tensor, pairs: Sequence[Pair], moment: str, norm: float = 0.0) -> None:
    """Raise `DataError` naming the pair whose loss, or the moment whose gradient, is not finite."""
    losses = zip(pairs, table[:, Columns.LOSS], strict=True)
    bad = [pair for pair, loss in losses if not loss.isfinite()]
    if not bad and math.isfinite(norm):
        return
    what = f"the loss of pair {bad[0].pair_id} ({bad[0].row})" if bad else "the gradient"
    raise DataError(
        f"{moment}: {what} is not finite; this step's weights are not kept. Check the pair's "
        "images, lower the learning rate, or train in float32."
    )
