"""The learning rate of a step, and the scale that keeps float16 gradients from vanishing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer

from invdpo.schemas.config.train import TrainConfig

GROWTH_INTERVAL = 2000
"""Steps without overflow after which a larger scale is tried."""


def rate(step: int, config: TrainConfig) -> float:
    """Share of the peak rate at optimiser step 0, 1, ...: linear warm-up, then as named."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    if config.lr_scheduler == "constant" or step < config.warmup_steps:
        return warm
    span = max(1, config.max_steps - config.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - config.warmup_steps) / span)))


def set_rate(optimizer: Optimizer, value: float) -> None:
    """Give every group of parameters this learning rate."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(value)
        else:
            group["lr"] = value


@dataclass
class LossScale:
    """The factor of the loss in the backward pass, by which gradients are divided afterwards.

    It is 1 and never changes except for float16, whose small gradients would be lost. A step that
    overflows is repeated at half the scale; after 2000 steps without overflow it is doubled.
    """

    value: float = 1.0
    adapts: bool = False
    good: int = 0
    """Steps since the scale last changed."""

    @classmethod
    def of(cls, dtype: str) -> LossScale:
        """The scale at the start of a training in `dtype`."""
        return cls(2.0**16, True) if dtype == "float16" else cls()

    def unscale(self, gradients: list[Tensor]) -> None:
        """Divide in place."""
        if self.value != 1:
            torch._foreach_mul_(gradients, 1 / self.value)

    def keep(self) -> None:
        """A step went well."""
        self.good += 1
        if self.adapts and self.good == GROWTH_INTERVAL:
            self.value, self.good = 2 * self.value, 0

    def lower(self) -> bool:
        """A gradient overflowed; whether a smaller scale may help."""
        if not self.adapts or self.value <= 1:
            return False
        self.value, self.good = self.value / 2, 0
        return True
