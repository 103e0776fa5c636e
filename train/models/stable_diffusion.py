"""Stable Diffusion 1.x and 2.x, and everything of that architecture.

Shapes: M samples, P prompts, L tokens, D width of the text encoder, C x H x W the latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from invdpo.schemas.errors import ModelError
from invdpo.schemas.io.model_folder import model_errors, read_settings
from invdpo.train.models.base import Conditioning
from invdpo.train.models.diffusion import Diffusion, alphas
from invdpo.train.models.latent_model import LatentModel, tokenize, too_long


class StableDiffusion(LatentModel):
    """One text encoder, prompts by cross attention."""

    pipeline: ClassVar[str] = "StableDiffusionPipeline"
    component: ClassVar[str] = "unet"
    encoders: ClassVar[tuple[str, ...]] = ("text_encoder", "tokenizer")
    denoiser_class: ClassVar[str] = "UNet2DConditionModel"
    memory_format: ClassVar[torch.memory_format] = torch.channels_last

    def __init__(self, folder: Path, device: torch.device, dtype: str, weights_dtype: str) -> None:
        super().__init__(folder, device, dtype, weights_dtype)
        self.process: Diffusion = Diffusion(alphas(self.scheduler_config))
        self.prediction_type = str(self.scheduler_config.get("prediction_type", "epsilon"))
        check_architecture(folder, self.denoiser_config, self.vae_config)

    @property
    def multiple(self) -> int:
        """Pixels of which every side is a multiple: all of the UNet's halvings come out even."""
        return int(self._factor * 2 ** (len(self.denoiser_config["block_out_channels"]) - 1))

    @cached_property
    def text_encoder(self) -> Any:
        """The `CLIPTextModel`, frozen."""
        from transformers import CLIPTextModel

        return self._load(CLIPTextModel, "text_encoder", self.dtype)

    @cached_property
    def tokenizer(self) -> Any:
        """The `CLIPTokenizer`."""
        from transformers import CLIPTokenizer

        with model_errors(self.folder / "tokenizer"):
            return CLIPTokenizer.from_pretrained(self.folder, subfolder="tokenizer")

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str | None]) -> Conditioning:
        """`encoder_hidden_states` (P, L, D), prompts truncated as the pipeline truncates them."""
        texts = [prompt or "" for prompt in prompts]
        tokens = tokenize(self.tokenizer, texts).to(self.device)
        uses_mask = getattr(self.text_encoder.config, "use_attention_mask", False)
        mask = tokens.attention_mask if uses_mask else None
        with model_errors(self.folder / "text_encoder"), self._precision(self.dtype):
            hidden = self.text_encoder(tokens.input_ids, attention_mask=mask)[0]
        return {"encoder_hidden_states": hidden.float()}

    def prompt_shapes(self, tokens: int) -> Conditioning:
        """`encoder_hidden_states` (1, L, D): all prompts are of one length."""
        encoder = read_settings(self.folder / "text_encoder" / "config.json")
        tokens = encoder.get("max_position_embeddings", 77)
        width = self.denoiser_config["cross_attention_dim"]
        return {"encoder_hidden_states": torch.empty(1, tokens, width, device="meta")}

    def is_truncated(self, prompts: Sequence[str]) -> list[bool]:
        """For each prompt whether it is longer than the encoder takes; loads only the tokenizer."""
        return too_long(self.tokenizer, prompts)

    def predict(
        self, denoiser: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning
    ) -> Tensor:
        """Noise in x (M, C, H, W) at timesteps t (M,), in x's precision."""
        x = x.contiguous(memory_format=torch.channels_last)
        with self._precision(self.dtype):
            out = self._call(denoiser, x, t, conditioning)
        level = self.process.alpha_bar.to(x.device)[t].to(x.dtype).view(-1, 1, 1, 1)
        return to_epsilon(out.to(x.dtype), x, level, self.prediction_type)

    def _call(
        self, denoiser: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning
    ) -> Tensor:
        out: Tensor = denoiser(x, t, **conditioning).sample
        return out


def check_architecture(folder: Path, unet: dict[str, Any], vae: dict[str, Any]) -> None:
    """Raise `ModelError` for models of this family that aren't plain text-to-image denoisers."""
    if unet["in_channels"] != vae["latent_channels"]:
        raise ModelError(
            f"{folder}: the UNet takes {unet['in_channels']} channels and the VAE gives "
            f"{vae['latent_channels']}, as for inpainting or editing. Give a text-to-image model."
        )
    if unet.get("time_cond_proj_dim") is not None:
        raise ModelError(
            f"{folder}: a UNet distilled with guidance (time_cond_proj_dim). Give the base model."
        )
    if vae.get("latents_mean") is not None:
        raise ModelError(f"{folder}: a VAE with latents_mean, which is not supported yet.")


def to_epsilon(out: Tensor, x: Tensor, level: Tensor, prediction_type: str) -> Tensor:
    """Noise from the network's output: itself, or for `v_prediction` sqrt(a) v + sqrt(1-a) x."""
    if prediction_type == "epsilon":
        return out
    if prediction_type == "v_prediction":
        return level.sqrt() * out + (1 - level).sqrt() * x
    raise ModelError(
        f"prediction_type {prediction_type!r} in the scheduler's configuration; allowed: "
        "epsilon, v_prediction."
    )
