"""FLUX.1, dev and schnell.

Shapes: M samples, P prompts, L tokens, D their width, E of the pooled states.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from invdpo.train.models.base import STATES, Conditioning
from invdpo.train.models.flow.base import FlowModel, pack, unpack


class Flux(FlowModel):
    """T5's tokens beside packed latents, CLIP's pooled state, and guidance as an input (dev)."""

    pipeline: ClassVar[str] = "FluxPipeline"
    denoiser_class: ClassVar[str] = "FluxTransformer2DModel"
    encoders: ClassVar[tuple[str, ...]] = (
        *("text_encoder", "text_encoder_2"),
        *("tokenizer", "tokenizer_2"),
    )
    longest: ClassVar[dict[str, int]] = {"tokenizer_2": 512}
    most_tokens: ClassVar[int | None] = 512
    pools_texts: ClassVar[bool] = True

    @property
    def embeds_guidance(self) -> bool:
        """Whether the model was distilled with guidance: dev, not schnell."""
        return bool(self.denoiser_config.get("guidance_embeds"))

    @property
    def distilled_unguided(self) -> bool:
        """Schnell."""
        return not self.embeds_guidance

    @property
    def _channels(self) -> int:
        return int(self.denoiser_config["in_channels"]) // 4

    def _encode(self, pipeline: Any, texts: list[str]) -> Conditioning:
        """States (P, L, D) and pooled ones (P, E); the tokens' places are all zero."""
        states, pooled, _ = pipeline.encode_prompt(
            texts, texts, device=self.device, **self._text_length
        )
        return {STATES: states, "pooled_projections": pooled}

    def _call(
        self, denoiser: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning
    ) -> Tensor:
        guidance = torch.full_like(t, self.embedded_guidance) if self.embeds_guidance else None
        out: Tensor = denoiser(
            pack(x),
            timestep=t,
            guidance=guidance,
            txt_ids=x.new_zeros(conditioning[STATES].shape[1], 3),
            img_ids=_positions(x),
            **conditioning,
        ).sample
        return unpack(out, x.shape[1:])


def _positions(x: Tensor) -> Tensor:
    """(0, row, column) of each token of latents (M, C, H, W)."""
    rows, columns = (torch.arange(n // 2, device=x.device, dtype=x.dtype) for n in x.shape[2:])
    zero = torch.zeros(1, device=x.device, dtype=x.dtype)
    return torch.cartesian_prod(zero, rows, columns)
