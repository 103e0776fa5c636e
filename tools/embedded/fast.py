"""What makes training quick on a CPU.

With bfloat16 instructions products and convolutions run in it; without them it is slower by far.
Under bfloat16 the backward passes of group norm and of flash attention take most of a step, while
all else is twice as fast: so those two stay in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import GroupNorm
from torch.nn import functional as F


def autocast() -> torch.autocast:
    """Bfloat16 where the processor has instructions for it."""
    quick = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast("cpu", torch.bfloat16, enabled=quick)


def float_norms(model: torch.nn.Module) -> None:
    """Let group norms work in float32."""
    for module in model.modules():
        if isinstance(module, GroupNorm):
            module.forward = _group_norm.__get__(module)  # type: ignore[method-assign]


def _group_norm(self: GroupNorm, x: torch.Tensor) -> torch.Tensor:
    return F.group_norm(x.float(), self.num_groups, self.weight, self.bias, self.eps)


@contextmanager
def float_attention(bias: torch.Tensor | None = None) -> Iterator[None]:
    """Let attention work in float32 inside this block; `bias` is added to its logits."""
    original = F.scaled_dot_product_attention

    def attention(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any, **options: Any
    ) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return original(query.float(), key.float(), value.float(), bias, *rest, **options)

    F.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        F.scaled_dot_product_attention = original
