"""To compare trainings that round differently.

AdamW's first steps are the gradient divided by its own size: where that is nearly zero its rounding
decides the sign, and the weight goes a whole step the other way. With an epsilon that outweighs
every gradient the same optimiser steps in proportion to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from invdpo.train import loop
from invdpo.train.optim.optimizers import make_optimizer

Weights = Mapping[str, torch.Tensor]
SMOOTH: dict[str, Any] = {"learning_rate": 1.0, "weight_decay": 0.0, "keep": "last"}
"""Options under which weights go a way that float32 can tell, and none but the gradient's."""
NOWHERE: dict[str, Any] = {"learning_rate": 1e-12, "max_steps": 1}
"""Further options, under which a training ends where it starts."""


def smooth(*arguments: Any) -> torch.optim.Optimizer:
    """What `make_optimizer` makes of these arguments, with steps of about rate · gradient."""
    optimizer = make_optimizer(*arguments)
    for group in optimizer.param_groups:
        group["eps"] = 1.0
    return optimizer


def smooth_steps(patch: pytest.MonkeyPatch) -> None:
    """Trainings of this process take such steps."""
    patch.setattr(loop, "make_optimizer", smooth)


def apart(first: Weights, second: Weights, start: Weights) -> float:
    """How far two trainings from `start` ended apart, over the way that the first of them went."""
    assert first.keys() == second.keys() == start.keys()
    moved, difference = (
        torch.cat([(a[name].double() - b[name].double()).flatten() for name in sorted(start)])
        for a, b in ((first, start), (first, second))
    )
    return float(difference.norm() / moved.norm())
