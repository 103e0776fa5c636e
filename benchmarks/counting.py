"""What a network's training costs, counted on the meta device: nothing is allocated or computed."""

from __future__ import annotations

from typing import Any

import torch
from networks import Network, add_lora
from torch import nn

from invdpo.train.diagnostics.counting import META, count_flops, count_graph_bytes


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
    return count_flops(
        lambda: of.call(unet, side or of.side, META, torch.float32), backward=tuning != "forward"
    )


def graph_bytes(of: Network, tuning: str, checkpointing: bool, side: int = 0) -> int:
    """Bytes that one sample's graph keeps between forward and backward, all in bfloat16."""
    unet = network(of, tuning, torch.bfloat16)
    if checkpointing:
        unet.enable_gradient_checkpointing()
    return count_graph_bytes(
        lambda: of.call(unet, side or of.side, META, torch.bfloat16), unet.parameters()
    )
