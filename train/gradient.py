"""The exact gradient of a step's loss, with a graph of a few samples at a time.

Shapes: B pairs, S sides, K points. Since a pair's score s is linear in its errors, the gradient of
f(s) is f'(s) times the sum of its samples' gradients. So a pair that does not fit into one graph
adds its samples up one graph after another and is scaled once, when s is known: one forward and
one backward a sample, and a peak of memory that does not grow with K.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from invdpo.train.batches import Batch
from invdpo.train.models import Conditioning
from invdpo.train.objective import Objective, noise_error

Predict = Callable[[Tensor, Tensor, Conditioning], Tensor]
"""(x, t, conditioning) -> noise, (M, C, H, W) to the same."""


@dataclass(frozen=True)
class Goal:
    """An objective and its strength."""

    objective: Objective
    beta: float

    def score(self, error: Tensor, batch: Batch, pairs: slice = slice(None)) -> Tensor:
        """Scores of some pairs of the batch, from their errors (B', S, K): (B',)."""
        return self.objective.score(
            error, batch.reference_error[pairs].to(error), batch.weight[pairs].to(error), self.beta
        )


def sample_errors(predict: Predict, batch: Batch, start: int, stop: int) -> Tensor:
    """E of the flat samples start .. stop-1, counted pair by pair, side by side: (stop-start,)."""
    flat = torch.arange(start, stop, device=batch.x.device)
    pair, point = flat // batch.width, flat % batch.timesteps.shape[1]
    side = flat % batch.width // batch.timesteps.shape[1]
    told = {name: value[pair] for name, value in batch.conditioning.items()}
    told |= {name: value[pair, side] for name, value in batch.about.items()}
    x, target = (t.flatten(0, 2)[start:stop] for t in (batch.x, batch.target))
    return noise_error(predict(x, batch.timesteps[pair, point], told), target)


@torch.no_grad()
def all_errors(predict: Predict, batch: Batch, limit: int) -> Tensor:
    """E of every sample without a graph, at most `limit` at a time: (B, S, K)."""
    total = batch.width * len(batch.x)
    parts = [sample_errors(predict, batch, *ends) for ends in _spans(0, total, limit)]
    return torch.cat(parts).view(batch.x.shape[:3])


def accumulate(
    predict: Predict,
    batch: Batch,
    goal: Goal,
    parameters: Sequence[nn.Parameter],
    limit: int,
    scale: float,
    *,
    scores_first: bool = False,
) -> Tensor:
    """Add the gradient of scale * sum of losses to `parameters`; at most `limit` samples a graph.

    With `scores_first` a pair that does not fit into one graph is asked about twice, first for its
    score: where processes share the weights, each backward sums their gradients, and it is too late
    to scale them afterwards. Returns the errors (B, S, K), detached.
    """
    if batch.width > limit and scores_first:
        error = all_errors(predict, batch, limit)
        _known_scores(predict, batch, goal, error, limit, scale)
        return error
    if batch.width > limit:
        numbers = range(len(batch.x))
        return torch.stack(
            [_one_pair(predict, batch, goal, parameters, limit, scale, b) for b in numbers]
        )
    groups = _spans(0, len(batch.x), limit // batch.width)
    return torch.cat([_some_pairs(predict, batch, goal, scale, *ends) for ends in groups])


def _some_pairs(
    predict: Predict, batch: Batch, goal: Goal, scale: float, first: int, last: int
) -> Tensor:
    """One graph of pairs first .. last-1, whole."""
    flat = sample_errors(predict, batch, first * batch.width, last * batch.width)
    error = flat.view(-1, *batch.x.shape[1:3])
    loss = goal.objective.loss(goal.score(error, batch, slice(first, last)))
    torch.autograd.backward(scale * loss.sum())
    return error.detach()


def _one_pair(
    predict: Predict,
    batch: Batch,
    goal: Goal,
    parameters: Sequence[nn.Parameter],
    limit: int,
    scale: float,
    b: int,
) -> Tensor:
    """Many graphs for pair b: the score's gradient is summed, then scaled by the loss's slope."""
    only = slice(b, b + 1)
    earlier = [p.grad for p in parameters]
    for p in parameters:
        p.grad = None
    zero = batch.target.new_zeros(1, *batch.x.shape[1:3])
    share = _slope(lambda e: goal.score(e, batch, only), zero)
    start, errors = b * batch.width, []
    for low, high in _spans(start, start + batch.width, limit):
        part = sample_errors(predict, batch, low, high)
        torch.autograd.backward(part, share.flatten()[low - start : high - start])
        errors.append(part.detach())
    error = torch.cat(errors).view(1, *batch.x.shape[1:3])
    factor = scale * _slope(goal.objective.loss, goal.score(error, batch, only)).item()
    for p, before in zip(parameters, earlier, strict=True):
        if p.grad is not None:
            p.grad.mul_(factor)
        if before is not None:
            p.grad = before if p.grad is None else before.add_(p.grad)
    return error[0]


def _known_scores(
    predict: Predict, batch: Batch, goal: Goal, error: Tensor, limit: int, scale: float
) -> None:
    """Many graphs, each sample weighed by the slope of the loss in its error (B, S, K)."""
    share = _slope(lambda e: scale * goal.objective.loss(goal.score(e, batch)), error).flatten()
    for b in range(len(error)):
        for low, high in _spans(b * batch.width, (b + 1) * batch.width, limit):
            part = sample_errors(predict, batch, low, high)
            torch.autograd.backward(part, share[low:high])


def _slope(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    at = at.detach().requires_grad_()
    return torch.autograd.grad(function(at).sum(), at)[0]


def _spans(start: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    return ((low, min(low + size, stop)) for low in range(start, stop, size))
