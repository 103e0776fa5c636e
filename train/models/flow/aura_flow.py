"""AuraFlow.

Shapes: M samples, P prompts, L tokens, D their width.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from invdpo.train.models.base import STATES, Conditioning
from invdpo.train.models.flow.base import FlowModel


class AuraFlow(FlowModel):
    """A UMT5, whose states are zero where a prompt is padded; SDXL's autoencoder."""

    pipeline: ClassVar[str] = "AuraFlowPipeline"
    denoiser_class: ClassVar[str] = "AuraFlowTransformer2DModel"
    encoders: ClassVar[tuple[str, ...]] = ("text_encoder", "tokenizer")
    steps_evenly: ClassVar[bool] = False
    longest: ClassVar[dict[str, int]] = {"tokenizer": 256}

    def _encode(self, pipeline: Any, texts: list[str]) -> Conditioning:
        """States (P, L, D), of the same length for all prompts and read without a mask."""
        states, _, _, _ = pipeline.encode_prompt(
            texts,
            device=self.device,
            do_classifier_free_guidance=False,
            **self._text_length,
        )
        return {STATES: states}

    def _call(
        self, denoiser: nn.Module, x: Tensor, t: Tensor, conditioning: Conditioning
    ) -> Tensor:
        out: Tensor = denoiser(x, timestep=t, **conditioning).sample
        return out
