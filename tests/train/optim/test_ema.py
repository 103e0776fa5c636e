from __future__ import annotations

import pytest
import torch
from torch import nn

from invdpo.train.optim.ema import Average


def parameters() -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(5))]


def test_closed_form() -> None:
    """With constant decay d, weights w_0 = 0 and w_s = s: sum over s of (1-d) d^(n-s) s."""
    weight = nn.Parameter(torch.zeros(2, dtype=torch.float32))
    average, decay, steps = Average([weight], 0.5), 0.5, range(9, 30)
    for step in steps:  # from step 9 on the warm-up's (1+s)/(10+s) is above 0.5
        weight.data.fill_(step)
        average.update(step)
    expected = sum((1 - decay) * decay ** (steps[-1] - s) * s for s in steps)
    assert average.tensors[0].tolist() == pytest.approx([expected] * 2, rel=1e-6)


@pytest.mark.parametrize(("step", "decay"), [(1, 2 / 11), (8, 9 / 18), (100_000, 0.9)])
def test_warm_up(step: int, decay: float) -> None:
    weight = nn.Parameter(torch.ones(1))
    average = Average([weight], 0.9)
    weight.data.zero_()
    average.update(step)
    assert average.tensors[0].item() == pytest.approx(decay)


def test_swapping_lasts_as_long_as_its_context() -> None:
    moving = parameters()
    average = Average(moving, 0.9)
    for p in moving:
        p.data.mul_(1.7)
    before = [p.detach().clone() for p in moving]
    places = [p.data_ptr() for p in moving]
    with average.swapped():
        assert all(map(torch.equal, moving, average.tensors))
    assert all(map(torch.equal, moving, before))
    assert [p.data_ptr() for p in moving] == places


def spoil(average: Average) -> None:
    with average.swapped():
        average.parameters[0].data.fill_(torch.nan)
        raise KeyError


def test_swapping_restores_after_an_error_even_when_the_weights_were_changed() -> None:
    moving = parameters()
    average = Average(moving, 0.9)
    before = [p.detach().clone() for p in moving]
    with pytest.raises(KeyError):
        spoil(average)
    assert all(map(torch.equal, moving, before))
    assert not average.tensors[0].isnan().any()


def test_averages_of_half_precision_are_float32() -> None:
    weight = nn.Parameter(torch.full((2,), 0.3, dtype=torch.bfloat16))
    average = Average([weight], 0.9999)
    weight.data.add_(1)
    average.update(100_000)
    assert average.tensors[0].dtype == torch.float32
    # a move of 1e-4, which bfloat16 could not show
    assert 0 < average.tensors[0][0].item() - torch.tensor(0.3).bfloat16().item() < 2e-4


def test_saved_averages_go_on_bit_for_bit() -> None:
    moving = parameters()
    average = Average(moving, 0.9)
    moving[0].data.add_(1)
    average.update(1)
    again = Average(parameters(), 0.9)
    again.restore([t.clone() for t in average.tensors])
    assert all(map(torch.equal, again.tensors, average.tensors))
