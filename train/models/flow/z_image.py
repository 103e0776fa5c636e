"""Z-Image.

Shapes: M samples, P prompts, L tokens, D their width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from invdpo.train.models.base import MASK, STATES, Conditioning
from invdpo.train.models.flow.base import FlowModel, padded


class ZImage(FlowModel):
    """Lists of images and of texts of any length; time runs from noise to data, 1 − σ."""

    pipeline: ClassVar[str] = "ZImagePipeline"
    denoiser_class: ClassVar[str] = "ZImageTransformer2DModel"
    encoders: ClassVar[tuple[str, ...]] = ("text_encoder", "tokenizer")
    longest: ClassVar[dict[str, int]] = {"tokenizer": 512}
    lora_targets: ClassVar[tuple[str, ...]] = ("to_q", "to_k", "to_v", "to_out.0")
    lengths_vary: ClassVar[bool] = True
    text_width: ClassVar[str] = "cap_feat_dim"

    def _encode(self, pipeline: Any, texts: list[str]) -> Conditioning:
        """States (P, L, D) and their mask (P, L)."""
        # the pipeline changes the list that it is given
        rows, _ = pipeline.encode_prompt(
            [*texts],
            device=self.device,
            do_classifier_free_guidance=False,
            **self._text_length,
        )
        return padded(rows)

    def _as_asked(self, prompts: Sequence[str]) -> Sequence[str]:
        return self._in_chat(prompts, enable_thinking=True)

    def _call(
        self, denoiser: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning
    ) -> Tensor:
        states, mask = conditioning[STATES], conditioning[MASK]
        texts = [row[kept] for row, kept in zip(states, mask, strict=True)]
        time = (1000 - 1000 * t) / 1000  # rounded as the pipeline does
        out = denoiser(list(x[:, :, None].unbind()), time, texts, return_dict=False)[0]
        return -torch.stack(list(out))[:, :, 0]
