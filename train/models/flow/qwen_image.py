"""Qwen-Image.

Shapes: M samples, P prompts, L tokens, D their width, C x H x W the latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from invdpo.train.models.base import MASK, STATES, Conditioning
from invdpo.train.models.flow.base import FlowModel, pack, unpack, valid

MOST_TOKENS = 512
"""Of a prompt, as the pipeline takes it by default."""


class QwenImage(FlowModel):
    """Texts of any length with a mask; an autoencoder made for films, whose frame is one image."""

    pipeline: ClassVar[str] = "QwenImagePipeline"
    denoiser_class: ClassVar[str] = "QwenImageTransformer2DModel"
    vae_class: ClassVar[str] = "AutoencoderKLQwenImage"
    vae_dimensions: ClassVar[int] = 5
    encoders: ClassVar[tuple[str, ...]] = ("text_encoder", "tokenizer")
    negative: ClassVar[str] = " "
    longest: ClassVar[dict[str, int]] = {"tokenizer": MOST_TOKENS}
    most_tokens: ClassVar[int | None] = 1024
    lengths_vary: ClassVar[bool] = True

    @property
    def _factor(self) -> int:
        return int(2 ** len(self.vae_config["temperal_downsample"]))

    @property
    def _channels(self) -> int:
        return int(self.denoiser_config["in_channels"]) // 4

    def _encode(self, pipeline: Any, texts: list[str]) -> Conditioning:
        """States (P, L, D) and their mask (P, L)."""
        states, mask = pipeline.encode_prompt(
            texts,
            device=self.device,
            max_sequence_length=self.max_sequence_length or MOST_TOKENS,
        )
        whole = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        return valid(states, whole if mask is None else mask)

    def _call(
        self, denoiser: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning
    ) -> Tensor:
        mask, (_, height, width) = conditioning[MASK], x.shape[1:]
        out: Tensor = denoiser(
            pack(x),
            timestep=t,
            encoder_hidden_states=conditioning[STATES],
            encoder_hidden_states_mask=None if mask.all() else mask,
            img_shapes=[[(1, height // 2, width // 2)]] * len(x),
            return_dict=False,
        )[0]
        return unpack(out, x.shape[1:])

    def _encode_pixels(self, pixels: Tensor) -> Tensor:
        mode = self.vae.encode(pixels[:, :, None]).latent_dist.mode().float()
        mean, spread = self._statistics(mode)
        latent: Tensor = ((mode - mean) / spread)[:, :, 0]
        return latent

    def _decode(self, latent: Tensor) -> Tensor:
        mean, spread = self._statistics(latent)
        film = latent[:, :, None] * spread + mean
        pixels: Tensor = self.vae.decode(film.to(self.vae.dtype)).sample[:, :, 0]
        return pixels

    def _statistics(self, like: Tensor) -> Sequence[Tensor]:
        """Mean and spread of each channel, (1, C, 1, 1, 1)."""
        names = ("latents_mean", "latents_std")
        values = (torch.tensor(self.vae_config[name]) for name in names)
        return [value.to(like).view(1, -1, 1, 1, 1) for value in values]
