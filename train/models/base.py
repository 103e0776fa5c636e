"""What a model family must offer to the trainer.

Shapes: M samples, P prompts, C x H x W the latent. Latents and predictions are float32 whatever the
model computes in.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, device, nn

from invdpo.schemas.plugins import Registry
from invdpo.train.data.buckets import Fitted, Framing, Size
from invdpo.train.schedule import NoiseProcess

STATES, MASK = "encoder_hidden_states", "encoder_hidden_states_mask"
"""Names of the text's states (P, L, D), and of the tokens (P, L) that are no padding."""
Conditioning = dict[str, Tensor]
"""Inputs of the network beside x and t: named tensors whose first dimension is the sample."""


class ModelAdapter(Protocol):
    """One frozen model: its encoders for phase one, its denoiser for both phases."""

    folder: Path
    device: device
    dtype: torch.dtype
    """Of text encoders and denoiser."""

    @property
    def process(self) -> NoiseProcess:
        """How noise enters its latents, and so what it predicts."""
        ...

    @property
    def component(self) -> str:
        """Name of the denoiser in the pipeline: `unet` or `transformer`."""
        ...

    @property
    def lora_targets(self) -> tuple[str, ...]:
        """Layers that a LoRA adapts unless others are named."""
        ...

    @property
    def vae_dtype(self) -> torch.dtype:
        """Of the VAE, which may be kept from overflowing."""
        ...

    @property
    def pipeline(self) -> str:
        """Name of the diffusers pipeline class that samples from it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of the weights and configurations that decide encodings and predictions."""
        ...

    @property
    def precision(self) -> str:
        """Precision of its computations and weights; what they give depends on it, too."""
        ...

    @property
    def denoiser(self) -> nn.Module:
        """The denoiser, with the published weights until something trains it."""
        ...

    def empty_denoiser(self) -> nn.Module:
        """The denoiser without memory for its weights: names and shapes alone."""
        ...

    embedded_guidance: float
    """What models distilled with guidance take as an input."""
    max_sequence_length: int | None
    """Text tokens that it takes; None for as many as its pipeline does by default."""

    @property
    def embeds_guidance(self) -> bool:
        """Whether the model was distilled with guidance, which it takes as an input."""
        ...

    @property
    def lengths_vary(self) -> bool:
        """Whether the conditioning is as long as the prompt, with a mask where it is padded."""
        ...

    @property
    def side(self) -> int:
        """Side in pixels of the square it was made for."""
        ...

    @property
    def multiple(self) -> int:
        """Pixels of which every side of an image must be a multiple."""
        ...

    def latent_shape(self, size: Size) -> tuple[int, int, int]:
        """(C, H, W) of an image's latent, from the configuration alone."""
        ...

    def encode_images(self, images: Sequence[Fitted]) -> Conditioning:
        """`latent` (M, C, H, W), the VAE's mode, scaled; and each image's `size_conditioning`.

        All images are of one size.
        """
        ...

    def decode_latents(self, latent: Tensor) -> Tensor:
        """Images (M, 3, height, width) in -1..1 of clean latents (M, C, H, W)."""
        ...

    def size_conditioning(self, framings: Sequence[Framing]) -> Conditioning:
        """Conditioning on the sizes and crops of images; empty for most families."""
        ...

    def encode_prompts(self, prompts: Sequence[str | None]) -> Conditioning:
        """Conditioning on each prompt; None is the prompt that guidance leads away from."""
        ...

    def is_truncated(self, prompts: Sequence[str]) -> list[bool]:
        """For each prompt whether it is longer than the encoder takes, so that its end is lost."""
        ...

    def predict(
        self, denoiser: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning
    ) -> Tensor:
        """What `denoiser` predicts at x (M, C, H, W) and timesteps t (M,): see `process`."""
        ...

    def drop_encoders(self) -> None:
        """Free VAE, text encoders and tokenizers, whose memory is wanted for the denoiser.

        What is used again is loaded again.
        """
        ...


class Family(Protocol):
    """Makes an adapter from a folder in diffusers layout."""

    def __call__(
        self, folder: Path, device: device, dtype: str, weights_dtype: str
    ) -> ModelAdapter:
        """The model computes in `dtype`, and its frozen weights are kept in `weights_dtype`."""
        ...


FAMILIES: Registry[Family] = Registry("model family", "invdpo.models", ModelAdapter)
