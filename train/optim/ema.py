"""The exponential moving average of the weights in training (EMA)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from invdpo.train.checkpoint.optimizer_state import place_like


class Average:
    """Averaged weights, which start at the parameters' values.

    After step s = 1, 2, ... each average moves to d·average + (1 - d)·weight with
    d = min(decay, (1 + s) / (10 + s)), so that the start is soon forgotten: d is 2/11 at first, and
    reaches a decay of 0.999 at step 8990.

    Attributes:
        tensors: The averages in float32, in the parameters' order and shapes.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        """Average `parameters` with `decay` in 0..1."""
        self.parameters, self.decay = list(parameters), decay
        self.tensors = [p.detach().to(torch.float32, copy=True) for p in parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Include the weights after optimiser step number `step`, from 1 on."""
        decay = min(self.decay, (1 + step) / (10 + step))
        weights = [p.float() for p in local_shards(self.parameters)]
        torch._foreach_lerp_(local_shards(self.tensors), weights, 1 - decay)

    def swapped(self) -> AbstractContextManager[None]:
        """Put the averages into the parameters for a while; see the function."""
        return swapped(self.parameters, self.tensors)

    @torch.no_grad()
    def restore(self, tensors: Sequence[Tensor]) -> None:
        """Take over `tensors` saved from an average of the same parameters, in their order."""
        for average, saved in zip(self.tensors, tensors, strict=True):
            average.copy_(place_like(saved, average))


@contextmanager
def swapped(parameters: Sequence[nn.Parameter], values: Sequence[Tensor]) -> Iterator[None]:
    """Put `values` into the parameters while the context lasts, then the weights back.

    The weights come back bit for bit, also after an error. Until then a copy of them is in
    memory, for which there is room when the gradients are None; older graphs become invalid.
    """
    weights = [p.detach().clone() for p in parameters]
    try:
        _put(parameters, values)
        yield
    finally:
        _put(parameters, weights)


@torch.no_grad()
def _put(parameters: Sequence[nn.Parameter], values: Sequence[Tensor]) -> None:
    torch._foreach_copy_(local_shards(parameters), local_shards(values))


def local_shards(tensors: Sequence[Tensor]) -> list[Tensor]:
    """This process's shards, in place; enough where everything is elementwise."""
    return [t.to_local() if isinstance(t, DTensor) else t for t in tensors]
