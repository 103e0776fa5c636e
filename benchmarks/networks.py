"""UNets as configurations, without weights: SD 1.5, SDXL and a tiny SDXL.

Shapes: M samples, L tokens, C x H x W the latent, of an eighth of the image's side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Network:
    """A UNet's configuration, and the images it was made for."""

    name: str
    side: int
    """Pixels."""
    unet: dict[str, Any]
    width: int
    """Of the text embeddings."""
    pooled: int = 0
    """Width of the pooled text; 0 for networks that aren't told sizes either."""
    channels: int = 4
    """C."""
    targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")
    """Of a LoRA."""

    def call(self, unet: Any, side: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        """The prediction for one sample of `side` pixels, of random values."""
        shape = 1, self.channels, side // 8, side // 8
        x, t = torch.randn(shape, device=device, dtype=dtype), torch.ones(1, device=device)
        out: torch.Tensor = unet(x, t, **self.conditioning(1, device, dtype)).sample
        return out

    def build(self) -> Any:
        """The UNet, on the device and in the precision that are the default ones just now."""
        import diffusers

        made: Any = diffusers
        return made.UNet2DConditionModel(sample_size=self.side // 8, **self.unet)

    def conditioning(self, count: int, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
        """Keyword arguments of a call with M = `count` samples beside x and t, of random text."""
        draw: dict[str, Any] = {"device": device, "dtype": dtype}
        told: dict[str, Any] = {"encoder_hidden_states": torch.randn(count, 77, self.width, **draw)}
        if self.pooled:
            sizes = torch.full((count, 6), float(self.side), **draw)
            text = torch.randn(count, self.pooled, **draw)
            told["added_cond_kwargs"] = {"text_embeds": text, "time_ids": sizes}
        return told


CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
CLIP_BIG_G = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
}


def _sdxl(
    channels: tuple[int, ...],
    heads: tuple[int, ...],
    deep: int,
    text: int,
    pooled: int,
    time: int,
    layers: int,
) -> dict[str, Any]:
    return {
        "block_out_channels": channels,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": layers,
        "transformer_layers_per_block": (1, 2, deep),
        "norm_num_groups": math.gcd(32, channels[0]),
        "cross_attention_dim": text,
        "attention_head_dim": heads,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": time,
        "projection_class_embeddings_input_dim": pooled + 6 * time,
    }


SD15 = Network("SD 1.5", 512, {"cross_attention_dim": 768, "attention_head_dim": 8}, 768)
SDXL = Network(
    "SDXL",
    1024,
    _sdxl((320, 640, 1280), (5, 10, 20), 10, 2048, 1280, 256, 2),
    2048,
    1280,
)
TINY = Network("tiny SDXL", 64, _sdxl((16, 32, 32), (2, 4, 4), 1, 32, 16, 8, 1), 32, 16)


def add_lora(unet: Any, rank: int, targets: Sequence[str] = SDXL.targets) -> None:
    """Freeze the network and put a LoRA on its attention, as the trainer's defaults do."""
    from peft import LoraConfig

    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(targets)))
    for p in unet.parameters():
        if p.requires_grad:
            p.data = p.data.float()


def trained(unet: nn.Module) -> list[nn.Parameter]:
    """The parameters that move."""
    return [p for p in unet.parameters() if p.requires_grad]
