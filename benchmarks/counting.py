"""What a network's training costs, counted on the meta device: nothing is allocated or computed.

Shapes: C x H x W the latent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from kept import counted
from networks import Network, add_lora
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

META = torch.device("meta")


def network(of: Network, tuning: str, dtype: torch.dtype = torch.float32) -> Any:
    """The network ready to be trained, without memory behind it."""
    with META:
        unet = nn.Module.to(of.build(), dtype).train()
    if tuning == "lora":
        add_lora(unet, 16, of.targets)
    return unet


def flops(of: Network, tuning: str, side: int = 0) -> float:
    """FLOPs of one sample's forward and backward; `forward` as tuning leaves the backward out.

    `side`: of the image in pixels, the network's own when 0.
    """
    unet = network(of, tuning)
    with FlopCounterMode(display=False) as counter:
        out = of.call(unet, side or of.side, META, torch.float32)
        if tuning != "forward":
            torch.autograd.backward(out.sum())
    return float(counter.get_total_flops())


def graph_bytes(of: Network, tuning: str, checkpointing: bool, side: int = 0) -> int:
    """Bytes that one sample's graph keeps between forward and backward, all in bfloat16.

    Attention counts as fused: it keeps its arguments, its result and one float32 a row.
    """
    unet = network(of, tuning, torch.bfloat16)
    if checkpointing:
        unet.enable_gradient_checkpointing()
    with _fused_attention(), counted(unet.parameters()) as kept:
        out = of.call(unet, side or of.side, META, torch.bfloat16)
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


@contextmanager
def _fused_attention() -> Iterator[None]:
    """The meta device knows only the plain form, which keeps every weight between two tokens."""
    plain: Any = F.scaled_dot_product_attention
    changed: Any = F
    changed.scaled_dot_product_attention = lambda q, k, v, **_: _Fused.apply(q, k, v)
    try:
        yield
    finally:
        changed.scaled_dot_product_attention = plain
