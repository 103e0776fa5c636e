"""What a network's calls cost, counted on torch's meta device: nothing is allocated or computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from invdpo.train.diagnostics.kept import counted

META = torch.device("meta")


def count_flops(call: Callable[[], Tensor], *, backward: bool) -> int:
    """FLOPs of a call, and of its backward if asked for."""
    with (
        _attention_as(_unmasked),
        FlopCounterMode(display=False) as counter,
        torch.set_grad_enabled(backward),
    ):
        out = call()
        if backward:
            torch.autograd.backward(out.sum())
    return int(counter.get_total_flops())


def count_graph_bytes(call: Callable[[], Tensor], parameters: Iterable[nn.Parameter]) -> int:
    """Bytes that a call's graph keeps for its backward, beside these parameters.

    Attention counts as fused: it keeps its arguments, its result and one float32 a row.
    """
    with _attention_as(_fused), counted(parameters) as kept:
        out = call()
        size = kept.now
        del out
    return size


class _Fused(torch.autograd.Function):
    """Attention as fused kernels do it, in shapes alone."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = torch.empty_like(q)
        ctx.save_for_backward(q, k, v, out, q.new_empty(q.shape[:-1], dtype=torch.float32))
        return out


PLAIN: Any = F.scaled_dot_product_attention


def _fused(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Any:
    """The meta device knows only the plain form, which keeps every weight between two tokens."""
    return _Fused.apply(query, key, value)


def _unmasked(
    query: Tensor, key: Tensor, value: Tensor, *_: Any, enable_gqa: bool = False, **__: Any
) -> Any:
    """Masks change no count, and are real tensors where their values decide about shapes."""
    return PLAIN(query, key, value, enable_gqa=enable_gqa)


@contextmanager
def _attention_as(attention: Callable[..., Any]) -> Iterator[None]:
    changed: Any = F
    changed.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        changed.scaled_dot_product_attention = PLAIN
