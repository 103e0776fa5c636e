"""Stable Diffusion XL: two text encoders, and a UNet with conditioning on sizes and crops.

Shapes: M samples, P prompts, L tokens, D width of both encoders together, E of the second's pooled
output.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from invdpo.schemas.io.model_folder import model_errors, read_index, read_settings
from invdpo.train.data.buckets import Framing
from invdpo.train.models.base import Conditioning
from invdpo.train.models.latent_model import tokenize, too_long
from invdpo.train.models.stable_diffusion import StableDiffusion


class StableDiffusionXL(StableDiffusion):
    """The base model; its refiner is another pipeline class."""

    pipeline: ClassVar[str] = "StableDiffusionXLPipeline"
    encoders: ClassVar[tuple[str, ...]] = (
        "text_encoder",
        "text_encoder_2",
        "tokenizer",
        "tokenizer_2",
    )

    @cached_property
    def text_encoder_2(self) -> Any:
        """The `CLIPTextModelWithProjection`, frozen."""
        from transformers import CLIPTextModelWithProjection

        return self._load(CLIPTextModelWithProjection, "text_encoder_2", self.dtype)

    @cached_property
    def tokenizer_2(self) -> Any:
        """The second `CLIPTokenizer`, which has another padding token."""
        from transformers import CLIPTokenizer

        with model_errors(self.folder / "tokenizer_2"):
            return CLIPTokenizer.from_pretrained(self.folder, subfolder="tokenizer_2")

    def size_conditioning(self, framings: Sequence[Framing]) -> Conditioning:
        """`time_ids` (M, 6): height and width before resizing, top and left of the crop, target."""
        ids = [(*f.original[::-1], *f.crop[::-1], *f.target[::-1]) for f in framings]
        return {"time_ids": torch.tensor(ids, dtype=torch.float32)}

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str | None]) -> Conditioning:
        """`encoder_hidden_states` (P, L, D) of the penultimate layers, `text_embeds` (P, E).

        None is all zeros where the model says so (`force_zeros_for_empty_prompt`).
        """
        texts = [prompt or "" for prompt in prompts]
        hidden, _ = self._states(self.tokenizer, self.text_encoder, texts)
        hidden_2, pooled = self._states(self.tokenizer_2, self.text_encoder_2, texts)
        encoded = {
            "encoder_hidden_states": torch.cat([hidden, hidden_2], -1),
            "text_embeds": pooled,
        }
        if read_index(self.folder).get("force_zeros_for_empty_prompt", True):
            empty = torch.tensor([prompt is None for prompt in prompts], device=self.device)
            encoded = {name: value.clone() for name, value in encoded.items()}
            for value in encoded.values():
                value[empty] = 0
        return encoded

    def prompt_shapes(self, tokens: int) -> Conditioning:
        """`encoder_hidden_states` (1, L, D) and `text_embeds` (1, E)."""
        second = read_settings(self.folder / "text_encoder_2" / "config.json")
        pooled = torch.empty(1, second["projection_dim"], device="meta")
        return super().prompt_shapes(tokens) | {"text_embeds": pooled}

    def is_truncated(self, prompts: Sequence[str]) -> list[bool]:
        """For each prompt whether one of the encoders truncates it; loads only the tokenizers."""
        both = (too_long(tokenizer, prompts) for tokenizer in (self.tokenizer, self.tokenizer_2))
        return [first or second for first, second in zip(*both, strict=True)]

    def _states(self, tokenizer: Any, encoder: Any, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        tokens = tokenize(tokenizer, texts).to(self.device)
        with model_errors(self.folder), self._precision(self.dtype):
            out = encoder(tokens.input_ids, output_hidden_states=True)
        return out.hidden_states[-2].float(), out[0].float()

    def _call(
        self, denoiser: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning
    ) -> Tensor:
        added = {name: conditioning[name] for name in ("text_embeds", "time_ids")}
        out: Tensor = denoiser(
            x, t, conditioning["encoder_hidden_states"], added_cond_kwargs=added
        ).sample
        return out
