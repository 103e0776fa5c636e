"""Stable Diffusion 3 and 3.5, with or without T5.

Shapes: M samples, P prompts, L tokens, D their width, E of the pooled states.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from invdpo.schemas.io.model_folder import read_settings
from invdpo.train.models.base import STATES, Conditioning
from invdpo.train.models.flow.base import FlowModel


class StableDiffusion3(FlowModel):
    """Two CLIPs and a T5, whose tokens are concatenated; time in thousandths."""

    pipeline: ClassVar[str] = "StableDiffusion3Pipeline"
    denoiser_class: ClassVar[str] = "SD3Transformer2DModel"
    encoders: ClassVar[tuple[str, ...]] = (
        *("text_encoder", "text_encoder_2", "text_encoder_3"),
        *("tokenizer", "tokenizer_2", "tokenizer_3"),
    )
    steps_evenly: ClassVar[bool] = False
    max_shift: ClassVar[float] = 1.16
    longest: ClassVar[dict[str, int]] = {"tokenizer": 0, "tokenizer_3": 256}
    most_tokens: ClassVar[int | None] = 512
    pools_texts: ClassVar[bool] = True

    @property
    def multiple(self) -> int:
        """Pixels of which every side is a multiple: whole tokens."""
        return self._factor * int(self.denoiser_config["patch_size"])

    def _shift_of(self, tokens: int, steps: int) -> float:
        size = self.denoiser_config["patch_size"]
        return super()._shift_of(tokens * self.patch**2 // size**2, steps)

    def prompt_shapes(self, tokens: int) -> Conditioning:
        """CLIP's tokens come before T5's."""
        shapes = super().prompt_shapes(tokens)
        states = shapes[STATES]
        clip = read_settings(self.folder / "text_encoder" / "config.json")
        both = states.shape[1] + clip.get("max_position_embeddings", 77)
        return shapes | {STATES: states.new_empty(1, both, states.shape[2])}

    def _encode(self, pipeline: Any, texts: list[str]) -> Conditioning:
        """States (P, L, D) and pooled ones (P, E)."""
        states, _, pooled, _ = pipeline.encode_prompt(
            *(texts, texts, texts),
            device=self.device,
            do_classifier_free_guidance=False,
            **self._text_length,
        )
        return {STATES: states, "pooled_projections": pooled}

    def _call(
        self, denoiser: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning
    ) -> Tensor:
        out: Tensor = denoiser(x, timestep=1000 * t, **conditioning).sample
        return out
