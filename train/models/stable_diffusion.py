"""Stable Diffusion 1.x and 2.x, and everything of that architecture.

Shapes: M samples, P prompts, L tokens, D width of the text encoder, C x H x W the latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor, nn

from invdpo.schemas.errors import ModelError
from invdpo.schemas.io.logs import quiet_libraries
from invdpo.schemas.io.model_folder import model_errors, read_settings
from invdpo.train.data.buckets import Fitted, Framing, Size
from invdpo.train.models.base import Conditioning
from invdpo.train.models.components import hash_components, load_component
from invdpo.train.schedule import alphas


class StableDiffusion:
    """One text encoder, prompts by cross attention."""

    pipeline: ClassVar[str] = "StableDiffusionPipeline"
    encoders: ClassVar[tuple[str, ...]] = ("text_encoder", "tokenizer")

    def __init__(self, folder: Path, device: torch.device, dtype: str, weights_dtype: str) -> None:
        self.folder, self.device = folder, device
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.weights_dtype: torch.dtype = getattr(torch, weights_dtype)
        scheduler = read_settings(folder / "scheduler" / "scheduler_config.json")
        self.alpha_bar = alphas(scheduler)
        self.prediction_type = str(scheduler.get("prediction_type", "epsilon"))
        self.unet_config, self.vae_config = (
            read_settings(folder / name / "config.json") for name in ("unet", "vae")
        )
        check_architecture(folder, self.unet_config, self.vae_config)

    @cached_property
    def fingerprint(self) -> str:
        """Hash over the files of all components."""
        return hash_components(self.folder, ("unet", "vae", *self.encoders, "scheduler"))

    @property
    def precision(self) -> str:
        """The precision of the computations, and that of the weights where it differs."""
        kinds = [str(kind).removeprefix("torch.") for kind in (self.dtype, self.weights_dtype)]
        return " on ".join(dict.fromkeys(kinds))

    @property
    def side(self) -> int:
        """Side in pixels of the square it was made for."""
        return int(self.unet_config["sample_size"] * self._factor)

    @property
    def multiple(self) -> int:
        """Pixels of which every side is a multiple: all of the UNet's halvings come out even."""
        return int(self._factor * 2 ** (len(self.unet_config["block_out_channels"]) - 1))

    @property
    def _factor(self) -> int:
        return int(2 ** (len(self.vae_config["block_out_channels"]) - 1))

    def latent_shape(self, size: Size) -> tuple[int, int, int]:
        """(C, H, W) of a picture's latent, from the configuration alone."""
        channels: int = self.unet_config["in_channels"]
        return channels, size[1] // self._factor, size[0] // self._factor

    @cached_property
    def unet(self) -> Any:
        """The `UNet2DConditionModel` in channels_last, frozen."""
        from diffusers import UNet2DConditionModel

        unet = self._load(UNet2DConditionModel, "unet", self.weights_dtype)
        return unet.to(memory_format=torch.channels_last)

    def empty_unet(self) -> Any:
        """The same without memory for its weights: names and shapes alone."""
        from diffusers import UNet2DConditionModel

        with model_errors(self.folder / "unet"), torch.device("meta"), quiet_libraries():
            return UNet2DConditionModel.from_config(self.unet_config)

    @cached_property
    def vae(self) -> Any:
        """The `AutoencoderKL`, frozen; in float32 where half precision would overflow."""
        from diffusers import AutoencoderKL

        vae = self._load(AutoencoderKL, "vae", self.vae_dtype)
        return vae.to(memory_format=torch.channels_last)

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
    def encode_images(self, images: Sequence[Fitted]) -> Conditioning:
        """`latent` (M, C, H, W) and the `size_conditioning`; all pictures are of one size."""
        pixels = torch.stack([to_pixels(fitted.image) for fitted in images]).to(self.device)
        with self._precision(self.vae_dtype):
            mode = self.vae.encode(pixels).latent_dist.mode()
        latent = (mode.float() - self._shift) * self.vae.config.scaling_factor
        return {"latent": latent} | self.size_conditioning([fitted.framing for fitted in images])

    @torch.no_grad()
    def decode_latents(self, latent: Tensor) -> Tensor:
        """Pictures (M, 3, height, width) in -1..1 of clean latents (M, C, H, W)."""
        scaled = latent / self.vae.config.scaling_factor + self._shift
        with self._precision(self.vae_dtype):
            pixels = self.vae.decode(scaled).sample
        bounded: Tensor = pixels.float().clamp(-1, 1)
        return bounded

    def size_conditioning(self, framings: Sequence[Framing]) -> Conditioning:
        """Empty: this family has no conditioning on sizes."""
        return {}

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

    def is_truncated(self, prompts: Sequence[str]) -> list[bool]:
        """For each prompt whether it is longer than the encoder takes; loads only the tokenizer."""
        return too_long(self.tokenizer, prompts)

    def predict(self, unet: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        """Noise in x (M, C, H, W) at timesteps t (M,), in x's precision."""
        with self._precision(self.dtype):
            out = self._call(unet, x.contiguous(memory_format=torch.channels_last), t, conditioning)
        level = self.alpha_bar.to(x.device)[t].to(x.dtype).view(-1, 1, 1, 1)
        return to_epsilon(out.to(x.dtype), x, level, self.prediction_type)

    def drop_encoders(self) -> None:
        """Free VAE, text encoders and tokenizers; they are loaded again when used."""
        for name in ("vae", *self.encoders):
            self.__dict__.pop(name, None)

    def _call(self, unet: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        out: Tensor = unet(x, t, **conditioning).sample
        return out

    @property
    def vae_dtype(self) -> torch.dtype:
        """Precision of the VAE: float32 where its configuration says that half overflows."""
        upcast = self.vae_config.get("force_upcast") and self.dtype == torch.float16
        return torch.float32 if upcast else self.dtype

    @property
    def _shift(self) -> float:
        return getattr(self.vae.config, "shift_factor", None) or 0.0

    def _precision(self, dtype: torch.dtype) -> torch.autocast:
        half = dtype != torch.float32
        return torch.autocast(self.device.type, dtype if half else None, enabled=half)

    def _load(self, kind: Any, name: str, dtype: torch.dtype) -> Any:
        return load_component(kind, self.folder, name, self.device, dtype)


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
        raise ModelError(f"{folder}: a VAE with latents_mean, which can't be trained on yet.")


def to_epsilon(out: Tensor, x: Tensor, level: Tensor, prediction_type: str) -> Tensor:
    """Noise from the network's output: itself, or for `v_prediction` sqrt(a) v + sqrt(1-a) x."""
    if prediction_type == "epsilon":
        return out
    if prediction_type == "v_prediction":
        return level.sqrt() * out + (1 - level).sqrt() * x
    raise ModelError(
        f"prediction_type {prediction_type!r} in the scheduler's configuration; "
        "epsilon and v_prediction can be trained."
    )


def to_pixels(image: Image.Image) -> Tensor:
    """RGB as (3, height, width) float32 in -1..1."""
    raw = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return raw.view(image.height, image.width, 3).permute(2, 0, 1).float() / 127.5 - 1


def tokenize(tokenizer: Any, texts: Sequence[str]) -> Any:
    """Tokens (P, L), padded and truncated to the encoder's length."""
    with model_errors(tokenizer.name_or_path):
        return tokenizer(
            list(texts),
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )


def too_long(tokenizer: Any, texts: Sequence[str]) -> list[bool]:
    """For each text whether `tokenize` truncates it."""
    tokens = tokenizer(list(texts), verbose=False).input_ids
    return [len(ids) > tokenizer.model_max_length for ids in tokens]
