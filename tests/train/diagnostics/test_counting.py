from __future__ import annotations

import pytest
import torch
from torch import nn

from invdpo.train.diagnostics.counting import META, count_flops, count_graph_bytes
from invdpo.train.diagnostics.kept import counted


def test_kept_counts_what_a_graph_saves_once() -> None:
    weight = nn.Parameter(torch.randn(8, 8))
    x = torch.randn(4, 8, requires_grad=True)
    with counted([weight]) as kept:
        # both factors of the product are one tensor; the parameter is not counted
        y = torch.nn.functional.linear(x, weight)
        z = (y * y).sum()
        assert kept.now == kept.peak == x.nbytes + y.nbytes
        z.backward()  # type: ignore[no-untyped-call]
        assert kept.now == 0
    assert kept.peak == x.nbytes + y.nbytes


@pytest.mark.parametrize(("backward", "products"), [(False, 1), (True, 2)])
def test_flops_are_those_of_the_products(backward: bool, products: int) -> None:
    """A product of 3 rows of 5 by 5 x 7 is 2 * 3 * 5 * 7; one more gives the weight's gradient."""
    weight = nn.Parameter(torch.empty(7, 5, device=META))
    x = torch.empty(3, 5, device=META)
    flops = count_flops(lambda: nn.functional.linear(x, weight), backward=backward)
    assert flops == products * 2 * 3 * 5 * 7


def test_attention_counts_as_fused_and_without_its_mask() -> None:
    """Two products of 4 x 8 by 8 x 4, in a graph without the 4 x 4 weights between tokens."""
    q, k, v = (torch.empty(1, 2, 4, 8, device=META, requires_grad=True) for _ in "qkv")
    mask = torch.ones(1, 1, 4, 4, dtype=torch.bool)  # on another device

    def call() -> torch.Tensor:
        return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    assert count_flops(call, backward=False) == 2 * 2 * (2 * 4 * 8 * 4)
    row = 2 * 4 * 4
    assert count_graph_bytes(call, []) == 4 * 8 * row + row
