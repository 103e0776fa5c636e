"""Flow-matching transformers as configurations, without weights; counted as `networks` are.

The numbers are those of the published configurations. Shapes: M = 1 sample, L tokens of text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from networks import Network
from torch import Tensor

ATTENTION = (
    *("to_q", "to_k", "to_v", "to_out.0"),
    *("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
)


@dataclass(frozen=True)
class FlowNetwork(Network):
    """`unet` holds the transformer's configuration, `width` that of the text's states."""

    kind: str = ""
    """Class in diffusers."""
    tokens: int = 0
    """L; of families whose texts vary in length, of a prompt of some sentences."""
    channels: int = 16
    targets: tuple[str, ...] = field(default=ATTENTION)

    @property
    def prompt_bytes(self) -> int:
        """Of a cached prompt in bfloat16."""
        return 2 * (self.tokens * self.width + self.pooled)

    def build(self) -> Any:
        """The transformer, on the device that is the default one just now."""
        import diffusers

        return getattr(diffusers, self.kind)(**self.unet)

    def call(self, unet: Any, side: int, device: torch.device, dtype: torch.dtype) -> Tensor:
        """The velocity for one sample of `side` pixels, of random values."""
        draw: dict[str, Any] = {"device": device, "dtype": dtype}
        time, rows = torch.ones(1, **draw), side // 16
        text = torch.randn(1, self.tokens, self.width, **draw)
        packed = torch.randn(1, rows * rows, 4 * self.channels, **draw)
        out: Tensor
        if self.kind == "SD3Transformer2DModel":
            pooled = torch.randn(1, self.pooled, **draw)
            x = torch.randn(1, self.channels, 2 * rows, 2 * rows, **draw)
            return unet(x, text, pooled, time).sample  # type: ignore[no-any-return]
        if self.kind == "FluxTransformer2DModel":
            out = unet(
                packed,
                text,
                torch.randn(1, self.pooled, **draw),
                time,
                img_ids=torch.zeros(rows * rows, 3, **draw),
                txt_ids=torch.zeros(self.tokens, 3, **draw),
                guidance=time,
            ).sample
        else:
            out = unet(packed, text, None, time, img_shapes=[[(1, rows, rows)]]).sample
        return out


def _sd3(name: str, layers: int, heads: int, places: int, dual: int) -> FlowNetwork:
    config = {
        "sample_size": 128,
        "num_layers": layers,
        "num_attention_heads": heads,
        "attention_head_dim": 64,
        "joint_attention_dim": 4096,
        "caption_projection_dim": 64 * heads,
        "pooled_projection_dim": 2048,
        "out_channels": 16,
        "pos_embed_max_size": places,
        "dual_attention_layers": tuple(range(dual)),
        "qk_norm": "rms_norm",
    }
    return FlowNetwork(
        name, 1024, config, 4096, pooled=2048, kind="SD3Transformer2DModel", tokens=77 + 256
    )


SD35_MEDIUM = _sd3("SD 3.5 medium", 24, 24, 384, 13)
SD35_LARGE = _sd3("SD 3.5 large", 38, 38, 192, 0)
FLUX_DEV = FlowNetwork(
    "FLUX.1-dev",
    1024,
    {"guidance_embeds": True},
    4096,
    pooled=768,
    kind="FluxTransformer2DModel",
    tokens=512,
)
QWEN_IMAGE = FlowNetwork(
    "Qwen-Image", 1024, {}, 3584, kind="QwenImageTransformer2DModel", tokens=75
)
FLOWS = (SD35_MEDIUM, SD35_LARGE, FLUX_DEV, QWEN_IMAGE)
