"""The exact gradient of a step's loss, with a graph of a few samples at a time.

Shapes: B pairs, S sides, K points. A sample is one side of a pair at one point. Where a pair's
loss is a function of its score s, which is linear in its errors, the gradient of f(s) is f'(s)
times the sum of its samples' gradients. So the samples of a pair that does not fit into one graph
are differentiated one graph after another, and their sum is scaled once, when s is known: one
forward and one backward for each sample, and a peak of memory that does not grow with K. Other
losses take one forward more, by which the weight of each sample is known before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from invdpo.train.batches import Batch, BatchSampler
from invdpo.train.models import Conditioning
from invdpo.train.objective import Objective, loser_scale, mean_square, residual

Predict = Callable[[Tensor, Tensor, Conditioning], Tensor]
"""(x, t, conditioning) -> noise, (M, C, H, W) to the same."""


def sample_residuals(predict: Predict, batch: Batch, start: int, stop: int) -> Tensor:
    """Of samples start .. stop-1, counted pair by pair, side by side: (stop-start, C, H, W)."""
    pair, side, point = _samples(batch, start, stop)
    conditioning = {name: value[pair] for name, value in batch.conditioning.items()}
    conditioning |= {name: value[pair, side] for name, value in batch.size_conditioning.items()}
    x, target = (tensor.flatten(0, 2)[start:stop] for tensor in (batch.x, batch.target))
    return residual(predict(x, batch.timesteps[pair, point], conditioning), target)


def sample_errors(predict: Predict, batch: Batch, start: int, stop: int) -> Tensor:
    """E of the same samples: (stop-start,)."""
    pair, side, _ = _samples(batch, start, stop)
    region = None if batch.region is None else batch.region[pair, side]
    return mean_square(sample_residuals(predict, batch, start, stop), region)


def _samples(batch: Batch, start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pair, side and point of each sample, all (stop-start,)."""
    sample = torch.arange(start, stop, device=batch.x.device)
    points = batch.timesteps.shape[1]
    within = sample % batch.samples_per_pair
    return sample // batch.samples_per_pair, within // points, within % points


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
    if size <= limit:
        spans = _spans(0, len(batch.x), limit // size)
        return torch.cat([_whole_pairs(predict, batch, objective, scale, *span) for span in spans])
    in_one_pass = objective.decided_by_score and not scores_first
    return torch.stack(
        [
            _split_pair(predict, batch, objective, parameters, limit, scale, index)
            if in_one_pass
            else _weigh_each_sample(predict, batch, objective, limit, scale, index)
            for index in range(len(batch.x))
        ]
    )


def forwards_per_sample(sampler: BatchSampler, *, scores_first: bool = False) -> int:
    """Of a step: that with a backward, the one before it for scores or weights, the reference's."""
    split = sampler.samples_per_pair > sampler.samples_per_graph
    twice = split and (scores_first or not sampler.objective.decided_by_score)
    return 1 + twice + sampler.live_reference


def _whole_pairs(
    predict: Predict, batch: Batch, objective: Objective, scale: float, start: int, stop: int
) -> Tensor:
    """One graph of pairs start .. stop-1; their errors (stop-start, S, K)."""
    size, given = batch.samples_per_pair, _given(batch, slice(start, stop))
    residuals = sample_residuals(predict, batch, start * size, stop * size)
    residuals = residuals.view(-1, *batch.x.shape[1:])
    region = None if batch.region is None else batch.region[start:stop]
    error = mean_square(residuals, None if region is None else region[:, :, None])
    scaled = _with_loser_scale(error, residuals, batch.weight[start:stop], region, objective)
    torch.autograd.backward(scale * objective.total(scaled, *given).sum())
    return error.detach()


def _with_loser_scale(
    error: Tensor, residuals: Tensor, weight: Tensor, region: Tensor | None, objective: Objective
) -> Tensor:
    """The same errors (B, S, K), of which the loser's have λ times the gradient."""
    if objective.loser_scaling is None:
        return error
    factor = loser_scale(residuals, weight, region, objective.loser_scaling)[:, None]
    winner, loser = error.unbind(1)
    return torch.stack([winner, factor * loser + (1 - factor) * loser.detach()], 1)


def _split_pair(
    predict: Predict,
    batch: Batch,
    objective: Objective,
    parameters: Sequence[nn.Parameter],
    limit: int,
    scale: float,
    index: int,
) -> Tensor:
    """Many graphs for one pair: its score's gradient is summed up, then weighed; its errors (S, K).

    The weight is the slope of the loss at the score.
    """
    pair, first = slice(index, index + 1), index * batch.samples_per_pair
    *given, strength = _given(batch, pair)
    earlier = [p.grad for p in parameters]
    for p in parameters:
        p.grad = None
    zero = batch.target.new_zeros(1, *batch.x.shape[1:3])
    # the scale is inside, so that small gradients survive in half precision
    share = _slope(lambda error: scale * objective.score(error, *given), zero).flatten()
    errors = []
    for start, stop in _spans(first, first + batch.samples_per_pair, limit):
        part = sample_errors(predict, batch, start, stop)
        torch.autograd.backward(part, share[start - first : stop - first])
        errors.append(part.detach())
    error = torch.cat(errors).view(1, *batch.x.shape[1:3])
    score = objective.score(error, *given)
    factor = _slope(lambda s: objective.loss(strength * s), score).item()
    for p, before in zip(parameters, earlier, strict=True):
        if p.grad is not None:
            p.grad.mul_(factor)
        if before is not None:
            p.grad = before if p.grad is None else before.add_(p.grad)
    return error[0]


def _weigh_each_sample(
    predict: Predict, batch: Batch, objective: Objective, limit: int, scale: float, index: int
) -> Tensor:
    """Many graphs for one pair, each sample weighed by the slope of the loss at its error (S, K).

    The errors come from a pass without graphs, and so does the scale of the loser.
    """
    pair, first = slice(index, index + 1), index * batch.samples_per_pair
    spans = list(_spans(first, first + batch.samples_per_pair, limit))
    with torch.no_grad():
        parts = [sample_residuals(predict, batch, *span) for span in spans]
    residuals = torch.cat(parts).view(1, *batch.x.shape[1:])
    region = None if batch.region is None else batch.region[pair]
    error = mean_square(residuals, None if region is None else region[:, :, None])

    def loss(error: Tensor) -> Tensor:
        scaled = _with_loser_scale(error, residuals, batch.weight[pair], region, objective)
        return scale * objective.total(scaled, *_given(batch, pair))

    share = _slope(loss, error).flatten()
    for start, stop in spans:
        part = sample_errors(predict, batch, start, stop)
        torch.autograd.backward(part, share[start - first : stop - first])
    return error[0]


def _given(batch: Batch, pairs: slice) -> tuple[Tensor, Tensor, Tensor]:
    """E_0, ω and f of some pairs."""
    return batch.reference_error[pairs], batch.weight[pairs], batch.strength_of(pairs)


def _slope(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    at = at.detach().requires_grad_()
    return torch.autograd.grad(function(at).sum(), at)[0]


def _spans(start: int, stop: int, size: int) -> Iterator[tuple[int, int]]:
    return ((low, min(low + size, stop)) for low in range(start, stop, size))
