"""Which weights are validated and saved: those in training, their average, or extrapolated ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from invdpo.schemas.config.train import TrainConfig
from invdpo.train.checkpoint.optimizer_state import gather
from invdpo.train.optim.ema import Average, local_shards, swapped


class SavedWeights:
    """θ_0 + (1 + α)·(θ − θ_0), with θ the weights or their average, θ_0 those of the start.

    α is `extrapolation` (ExPO, arXiv 2404.16792): a model further along the way that a training
    moved, at no cost. It may be a better one where the training stopped early.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], config: TrainConfig) -> None:
        """Make it before the first step, when the weights are those of the start."""
        self._parameters, self._share = list(parameters), config.extrapolation
        decay = config.ema_decay
        self._average = Average(parameters, decay) if decay else None
        self._start = [p.detach().clone() for p in parameters] if self._share else None

    def update(self, step: int) -> None:
        """Include the weights after optimiser step number `step`, from 1 on, in the average."""
        if self._average:
            self._average.update(step)

    def state(self, names: Sequence[str]) -> dict[str, Tensor]:
        """The averages by the parameters' names, if there are any. All processes call it."""
        averages = self._average.tensors if self._average else []
        return {name: gather(tensor) for name, tensor in zip(names, averages, strict=False)}

    def restore(self, names: Sequence[str], state: Mapping[str, Tensor]) -> None:
        """Continue from what `state` returned."""
        if self._average:
            self._average.restore([state[name] for name in names])

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Put them into the parameters while the context lasts; see `ema.swapped`."""
        with ExitStack() as stack:
            if self._average:
                stack.enter_context(self._average.swapped())
            if self._start is not None:
                stack.enter_context(swapped(self._parameters, self._extrapolated(self._start)))
            yield

    @torch.no_grad()
    def _extrapolated(self, start: Sequence[Tensor]) -> list[Tensor]:
        pairs = zip(*map(local_shards, (start, self._parameters)), strict=True)
        return [torch.lerp(first, weight, 1 + self._share) for first, weight in pairs]
