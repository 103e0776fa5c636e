"""SANA.

Shapes: M samples, P prompts, L tokens, D their width.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from torch import Tensor, nn

from invdpo.train.data.buckets import Size
from invdpo.train.models.base import MASK, STATES, Conditioning
from invdpo.train.models.flow.base import EULER, FlowModel, valid

BINS = {16: 512, 32: 1024, 64: 2048, 128: 4096}
"""Side of the latent that a model was made for -> the pixels in the name of its table of sizes."""
SOLVER = "DPMSolverMultistepScheduler"
"""With which SANA was published: its steps are other than Euler's, but between the same σ."""


class Sana(FlowModel):
    """Gemma's states of an instruction and a prompt; an autoencoder that is no variational one."""

    pipeline: ClassVar[str] = "SanaPipeline"
    denoiser_class: ClassVar[str] = "SanaTransformer2DModel"
    vae_class: ClassVar[str] = "AutoencoderDC"
    encoders: ClassVar[tuple[str, ...]] = ("text_encoder", "tokenizer")
    schedulers: ClassVar[dict[str, dict[str, Any]]] = {
        SOLVER: {"use_flow_sigmas": True, "prediction_type": "flow_prediction"},
        EULER: {},
    }
    steps_evenly: ClassVar[bool] = False
    patch: ClassVar[int] = 1
    longest: ClassVar[dict[str, int]] = {"tokenizer": 300}
    reserved_tokens: ClassVar[int] = 1
    """A place goes to the end of the instruction."""
    lora_targets: ClassVar[tuple[str, ...]] = ("to_q", "to_k", "to_v", "to_out.0")
    lengths_vary: ClassVar[bool] = True
    text_width: ClassVar[str] = "caption_channels"

    def drawn_size(self, size: Size) -> Size:
        """The nearest of the sizes that it knows, from which the pipeline resizes the image.

        It does so by default; with `use_resolution_binning=False` it generates at `size` itself,
        which an image does not tell.
        """
        from diffusers.image_processor import PixArtImageProcessor
        from diffusers.pipelines.sana import pipeline_sana

        if (table := BINS.get(self.denoiser_config.get("sample_size", 0))) is None:
            return size
        bins = getattr(pipeline_sana, f"ASPECT_RATIO_{table}_BIN")
        height, width = PixArtImageProcessor.classify_height_width_bin(size[1], size[0], bins)
        return width, height

    @property
    def _factor(self) -> int:
        return int(2 ** (len(self.vae_config["encoder_block_out_channels"]) - 1))

    def _encode(self, pipeline: Any, texts: list[str]) -> Conditioning:
        """States (P, L, D) and their mask (P, L)."""
        instruction = inspect.signature(pipeline.__call__).parameters["complex_human_instruction"]
        states, mask, _, _ = pipeline.encode_prompt(
            texts,
            device=self.device,
            do_classifier_free_guidance=False,
            complex_human_instruction=instruction.default,
            **self._text_length,
        )
        return valid(states, mask)

    def _encode_negative(self, pipeline: Any) -> Conditioning:
        """Without the instruction."""
        _, _, states, mask = pipeline.encode_prompt([""], device=self.device, **self._text_length)
        return valid(states, mask)

    def _call(
        self, denoiser: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning
    ) -> Tensor:
        time = self.process.levels * t
        if self.scheduler_config["_class_name"] == SOLVER:
            time = time.floor()  # as this scheduler counts
        out: Tensor = denoiser(
            x,
            timestep=time * self.denoiser_config.get("timestep_scale", 1.0),
            encoder_hidden_states=conditioning[STATES],
            encoder_attention_mask=conditioning[MASK],
        ).sample
        return out[:, : x.shape[1]]  # some predict a variance, too

    def _encode_pixels(self, pixels: Tensor) -> Tensor:
        latent: Tensor = self.vae.encode(pixels).latent.float() * self.vae.config.scaling_factor
        return latent
