"""FLUX.2-klein, base and distilled.

Shapes: M samples, P prompts, L tokens, D their width, C x H x W the latent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from invdpo.schemas.io.model_folder import read_index
from invdpo.train.models.base import STATES, Conditioning
from invdpo.train.models.flow.base import FlowModel

FITTED_STEPS = 200
"""The most steps for which the pipeline's formula of the shift was fitted."""


class Flux2Klein(FlowModel):
    """Three layers of Qwen3; each position of a latent is a square of 2 by 2 of the autoencoder's.

    Squares are normalised by the autoencoder's own statistics, and drawn from noise as such.
    """

    pipeline: ClassVar[str] = "Flux2KleinPipeline"
    denoiser_class: ClassVar[str] = "Flux2Transformer2DModel"
    vae_class: ClassVar[str] = "AutoencoderKLFlux2"
    encoders: ClassVar[tuple[str, ...]] = ("text_encoder", "tokenizer")
    longest: ClassVar[dict[str, int]] = {"tokenizer": 512}
    lora_targets: ClassVar[tuple[str, ...]] = (
        *(*FlowModel.lora_targets, "to_qkv_mlp_proj"),
        "to_out",  # of blocks of one stream; in the others it is a list, whose layer is `to_out.0`
    )
    patch: ClassVar[int] = 1
    sample_size: ClassVar[int] = 64

    @property
    def distilled_unguided(self) -> bool:
        """As the index says."""
        return bool(read_index(self.folder).get("is_distilled"))

    @property
    def _factor(self) -> int:
        return 2 * super()._factor

    def _shift_of(self, tokens: int, steps: int) -> float:
        """By the pipeline's formula, which is no good beyond the steps for which it was fitted."""
        from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

        return float(compute_empirical_mu(tokens, min(steps, FITTED_STEPS)))

    def _encode(self, pipeline: Any, texts: list[str]) -> Conditioning:
        """States (P, L, D), of the same length for all prompts and read without a mask."""
        states, _ = pipeline.encode_prompt(texts, device=self.device, **self._text_length)
        return {STATES: states}

    def _as_asked(self, prompts: Sequence[str]) -> Sequence[str]:
        return self._in_chat(prompts, enable_thinking=False)

    def _call(
        self, denoiser: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning
    ) -> Tensor:
        states, (height, width) = conditioning[STATES], x.shape[2:]
        out: Tensor = denoiser(
            x.flatten(2).mT,
            timestep=t,
            encoder_hidden_states=states,
            txt_ids=_positions(x, 1, 1, states.shape[1]),
            img_ids=_positions(x, height, width, 1),
        ).sample
        return out.mT.reshape(x.shape)

    def _encode_pixels(self, pixels: Tensor) -> Tensor:
        mean, spread = self._statistics()
        mode = self.vae.encode(pixels).latent_dist.mode().float()
        return (pixel_unshuffle(mode, 2) - mean) / spread

    def _decode(self, latent: Tensor) -> Tensor:
        mean, spread = self._statistics()
        raw = pixel_shuffle(latent * spread + mean, 2)
        pixels: Tensor = self.vae.decode(raw.to(self.vae.dtype)).sample
        return pixels

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and spread of each channel, (1, C, 1, 1)."""
        norm = self.vae.bn
        spread = (norm.running_var.float() + self.vae_config["batch_norm_eps"]).sqrt()
        return norm.running_mean.float().view(1, -1, 1, 1), spread.view(1, -1, 1, 1)


def _positions(x: Tensor, rows: int, columns: int, words: int) -> Tensor:
    """(0, row, column, word) of each token, for each sample of x: (M, L, 4)."""
    axes = [torch.arange(n, device=x.device) for n in (1, rows, columns, words)]
    return torch.cartesian_prod(*axes).expand(len(x), -1, -1)
