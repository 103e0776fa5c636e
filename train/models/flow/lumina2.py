"""Lumina 2.

Shapes: M samples, P prompts, L tokens, D their width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from invdpo.train.models.base import MASK, STATES, Conditioning
from invdpo.train.models.flow.base import FlowModel, valid


class Lumina2(FlowModel):
    """Gemma's states of an instruction and a prompt; time runs from noise to data, 1 − σ."""

    pipeline: ClassVar[str] = "Lumina2Pipeline"
    denoiser_class: ClassVar[str] = "Lumina2Transformer2DModel"
    encoders: ClassVar[tuple[str, ...]] = ("text_encoder", "tokenizer")
    longest: ClassVar[dict[str, int]] = {"tokenizer": 256}
    most_tokens: ClassVar[int | None] = 512
    lora_targets: ClassVar[tuple[str, ...]] = ("to_q", "to_k", "to_v", "to_out.0")
    lengths_vary: ClassVar[bool] = True
    text_width: ClassVar[str] = "cap_feat_dim"

    def _encode(self, pipeline: Any, texts: list[str]) -> Conditioning:
        """States (P, L, D) and their mask (P, L)."""
        states, mask, _, _ = pipeline.encode_prompt(
            texts,
            device=self.device,
            do_classifier_free_guidance=False,
            **self._text_length,
        )
        return valid(states, mask)

    def _encode_negative(self, pipeline: Any) -> Conditioning:
        """Without the instruction."""
        _, _, states, mask = pipeline.encode_prompt([""], device=self.device, **self._text_length)
        return valid(states, mask)

    def _as_asked(self, prompts: Sequence[str]) -> Sequence[str]:
        parts = {"transformer": None, "scheduler": None, "vae": None, "text_encoder": None}
        bare = self._diffusers(self.pipeline)(tokenizer=self._tokenizer("tokenizer"), **parts)
        return [f"{bare.system_prompt} <Prompt Start> {prompt}" for prompt in prompts]

    def _shift_of(self, tokens: int, steps: int) -> float:
        # the pipeline takes the number of channels for that of tokens
        return super()._shift_of(self._channels, steps)

    def _call(
        self, denoiser: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning
    ) -> Tensor:
        out: Tensor = denoiser(
            x,
            timestep=1 - t,
            encoder_hidden_states=conditioning[STATES],
            encoder_attention_mask=conditioning[MASK],
        ).sample
        return -out
