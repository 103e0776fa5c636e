"""The exact gradient of a step's loss, with a graph of a few samples at a time.

Shapes: B pairs, S sides, K points. A sample is one side of a pair at one point. Since a pair's
score s is linear in its errors, the gradient of f(s) is f'(s) times the sum of its samples'
gradients. So the samples of a pair that does not fit into one graph are differentiated one graph
after another, and their sum is scaled once, when s is known: one forward and one backward for each
sample, and a peak of memory that does not grow with K.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from invdpo.train.batches import Batch
from invdpo.train.models import Conditioning
from invdpo.train.objective import Objective, noise_error

Predict = Callable[[Tensor, Tensor, Conditioning], Tensor]
"""(x, t, conditioning) -> noise, (M, C, H, W) to the same."""


def sample_errors(predict: Predict, batch: Batch, start: int, stop: int) -> Tensor:
    """E of samples start .. stop-1, counted pair by pair, side by side: (stop-start,)."""
    sample = torch.arange(start, stop, device=batch.x.device)
    points = batch.timesteps.shape[1]
    pair, point = sample // batch.samples_per_pair, sample % points
    side = sample % batch.samples_per_pair // points
    conditioning = {name: value[pair] for name, value in batch.conditioning.items()}
    conditioning |= {name: value[pair, side] for name, value in batch.size_conditioning.items()}
    x, target = (tensor.flatten(0, 2)[start:stop] for tensor in (batch.x, batch.target))
    return noise_error(predict(x, batch.timesteps[pair, point], conditioning), target)


@torch.no_grad()
def all_errors(predict: Predict, batch: Batch, limit: int) -> Tensor:
    """E of every sample without a graph, at most `limit` samples in a call: (B, S, K)."""
    total = batch.samples_per_pair * len(batch.x)
    parts = [sample_errors(predict, batch, *span) for span in _spans(0, total, limit)]
    return torch.cat(parts).view(batch.x.shape[:3])


def accumulate(
    predict: Predict,
    batch: Batch,
    objective: Objective,
    parameters: Sequence[nn.Parameter],
    limit: int,
    scale: float,
    *,
    scores_first: bool = False,
) -> Tensor:
    """Add the gradient of scale * sum of losses to `parameters`; at most `limit` samples a graph.

    With `scores_first` a pair that does not fit into one graph is evaluated twice, first for its
    score: where processes share the weights, each backward sums their gradients, and it is too late
    to scale them afterwards. Returns the errors (B, S, K), detached.
    """
    size = batch.samples_per_pair
    if size > limit and scores_first:
        error = all_errors(predict, batch, limit)
        _weigh_each_sample(predict, batch, objective, error, limit, scale)
        return error
    if size > limit:
        return torch.stack(
            [
                _split_pair(predict, batch, objective, parameters, limit, scale, index)
                for index in range(len(batch.x))
            ]
        )
    spans = _spans(0, len(batch.x), limit // size)
    return torch.cat([_whole_pairs(predict, batch, objective, scale, *span) for span in spans])


def _whole_pairs(
    predict: Predict, batch: Batch, objective: Objective, scale: float, start: int, stop: int
) -> Tensor:
    """One graph of pairs start .. stop-1; their errors (stop-start, S, K)."""
    size, pairs = batch.samples_per_pair, slice(start, stop)
    error = sample_errors(predict, batch, start * size, stop * size).view(-1, *batch.x.shape[1:3])
    score = objective.score(error, batch.reference_error[pairs], batch.weight[pairs])
    torch.autograd.backward(scale * objective.loss(score).sum())
    return error.detach()


def _split_pair(
    predict: Predict,
    batch: Batch,
    objective: Objective,
    parameters: Sequence[nn.Parameter],
    limit: int,
    scale: float,
    index: int,
) -> Tensor:
    """Many graphs for one pair: its score's gradient is summed up, then scaled; its errors (S, K).

    The scale is the slope of the loss at the score.
    """
    pair, first = slice(index, index + 1), index * batch.samples_per_pair
    given = batch.reference_error[pair], batch.weight[pair]
    earlier = [p.grad for p in parameters]
    for p in parameters:
        p.grad = None
    zero = batch.target.new_zeros(1, *batch.x.shape[1:3])
    share = _slope(lambda error: objective.score(error, *given), zero).flatten()
    errors = []
    for start, stop in _spans(first, first + batch.samples_per_pair, limit):
        part = sample_errors(predict, batch, start, stop)
        torch.autograd.backward(part, share[start - first : stop - first])
        errors.append(part.detach())
    error = torch.cat(errors).view(1, *batch.x.shape[1:3])
    factor = scale * _slope(objective.loss, objective.score(error, *given)).item()
    for p, before in zip(parameters, earlier, strict=True):
        if p.grad is not None:
            p.grad.mul_(factor)
        if before is not None:
            p.grad = before if p.grad is None else before.add_(p.grad)
    return error[0]


def _weigh_each_sample(
    predict: Predict, batch: Batch, objective: Objective, error: Tensor, limit: int, scale: float
) -> None:
    """Many graphs, each sample weighed by the slope of the loss at its error (B, S, K)."""

    def loss(error: Tensor) -> Tensor:
        return scale * objective.loss(objective.score(error, batch.reference_error, batch.weight))

    share, size = _slope(loss, error).flatten(), batch.samples_per_pair
    for index in range(len(error)):
        for start, stop in _spans(index * size, (index + 1) * size, limit):
            part = sample_errors(predict, batch, start, stop)
            torch.autograd.backward(part, share[start:stop])


def _slope(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    at = at.detach().requires_grad_()
    return torch.autograd.grad(function(at).sum(), at)[0]


def _spans(start: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    return ((low, min(low + size, stop)) for low in range(start, stop, size))
