"""`pickscore`: PickScore (arXiv 2305.01569), a CLIP-H trained on people's choices."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from invdpo.curate.checkpoints.model_files import (
    ModelFiles,
    processor_files,
    transformers_files,
)
from invdpo.curate.checkpoints.tokens import too_long
from invdpo.curate.checkpoints.weights import Weights, find_weights
from invdpo.curate.devices import torch_device
from invdpo.curate.scorers.base import SCORERS
from invdpo.curate.scorers.embeddings import CosineScorer
from invdpo.schemas import ModelError
from invdpo.schemas.io.logs import quiet_libraries
from invdpo.schemas.io.text import describe_error
from invdpo.schemas.io.weights import check_loaded

if TYPE_CHECKING:
    import torch
    from PIL import Image


class TransformersClip(NamedTuple):
    """A CLIP of transformers as an encoder of images and texts."""

    network: Any
    processor: Any
    device: str

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """By the model's own image processor."""
        inputs = self.processor.image_processor(images=image, return_tensors="pt")
        pixels: torch.Tensor = inputs["pixel_values"][0]
        return pixels

    def images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Unit embeddings, n×d."""
        return _unit(self.network.get_image_features(pixel_values=pixels))

    def texts(self, texts: list[str]) -> torch.Tensor:
        """Unit embeddings, n×d; texts are truncated to the encoder's length."""
        tokens = self.processor.tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=self._length,
            return_tensors="pt",
        ).to(self.device)
        return _unit(self.network.get_text_features(**tokens))

    def are_cut(self, texts: list[str]) -> list[bool]:
        """For each text whether it is longer than the encoder's length."""
        return too_long(self.processor.tokenizer, texts, self._length)

    @property
    def _length(self) -> int:
        return int(self.network.config.text_config.max_position_embeddings)


def _unit(output: Any) -> torch.Tensor:
    """Transformers 5 returns an object with the embedding, earlier versions the embedding."""
    embeddings = getattr(output, "pooler_output", output)
    unit: torch.Tensor = embeddings / embeddings.norm(dim=-1, keepdim=True)
    return unit


@SCORERS.register("pickscore")
class PickScorer(CosineScorer):
    """exp(logit_scale) · cosine, about 15..25; compares images of one prompt."""

    name = "pickscore"

    @cached_property
    def revision(self) -> str:
        """Model and processor with their revisions."""
        return f"{self._weights.identifier} processor={self._processor.identifier}"

    @cached_property
    def _weights(self) -> Weights:
        return find_weights(self._config.pickscore_model, "score.pickscore_model")

    @cached_property
    def _processor(self) -> Weights:
        return find_weights(self._config.pickscore_processor, "score.pickscore_processor")

    def model_files(self) -> list[ModelFiles]:
        """Model and processor."""
        return [transformers_files(self._weights), processor_files(self._processor)]

    def load(self) -> TransformersClip:
        """The configured model; its own scale becomes the factor."""
        from transformers import AutoProcessor, CLIPModel

        try:
            with quiet_libraries():
                loaded: Any = CLIPModel.from_pretrained(
                    self._weights.location,
                    use_safetensors=True,
                    output_loading_info=True,
                    **self._weights.options,
                )
                processor = AutoProcessor.from_pretrained(
                    self._processor.location, **self._processor.options
                )
        except Exception as error:
            text = f"{self._weights.name}: can't be loaded as a CLIP ({describe_error(error)})."
            raise ModelError(text) from error
        network, info = loaded
        check_loaded(self._weights.name, info)
        self.factor = network.logit_scale.exp().item()
        device = torch_device(self._config.device)
        return TransformersClip(network.to(device).eval(), processor, device)
