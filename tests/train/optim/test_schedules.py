from __future__ import annotations

import math

import pytest
import torch

from invdpo.schemas.config.train import TrainConfig
from invdpo.train.optim.schedules import GROWTH_INTERVAL, LossScale, rate, set_rate


def test_learning_rate_warms_up_and_falls() -> None:
    config = TrainConfig(warmup_steps=4, max_steps=12, lr_scheduler="cosine")
    rates = [rate(s, config) for s in range(12)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates[8] == pytest.approx(0.5)
    assert 0 < rates[11] < rates[10]
    constant = config.model_copy(update={"lr_scheduler": "constant"})
    assert rate(11, constant) == 1


@pytest.mark.parametrize("lr", [0.1, torch.tensor(0.1)])
def test_a_rate_is_set_in_the_optimisers_own_type(lr: float) -> None:
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr)
    set_rate(optimizer, 0.5)
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert isinstance(optimizer.param_groups[0]["lr"], type(lr))


def test_only_float16_is_scaled() -> None:
    for dtype in ("float32", "bfloat16"):
        scale = LossScale.of(dtype)
        assert scale.value == 1
        assert not scale.lower()
        for _ in range(GROWTH_INTERVAL):
            scale.keep()
        assert scale.value == 1


def test_the_scale_halves_at_an_overflow_and_doubles_after_long() -> None:
    scale = LossScale.of("float16")
    assert scale.lower()
    assert scale.value == 2**15
    for _ in range(GROWTH_INTERVAL - 1):
        scale.keep()
    assert scale.value == 2**15
    scale.keep()
    assert (scale.value, scale.good) == (2**16, 0)
    while scale.lower():
        pass
    assert scale.value == 1


def test_unscaling_gives_the_gradient_back() -> None:
    gradient = torch.tensor([2.0**16, 3 * 2.0**16, math.inf])
    LossScale.of("float16").unscale([gradient])
    assert gradient.tolist() == [1, 3, math.inf]
