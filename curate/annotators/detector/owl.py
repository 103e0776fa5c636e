"""OWL-ViT and OWLv2: each phrase is compared with each patch on its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from invdpo.curate.annotators.detector.boxes import DetectionQuery, RawBoxes

if TYPE_CHECKING:
    import torch
    from PIL import Image


class Owl(NamedTuple):
    """A loaded model; `square`: images are padded to a square at the right and at the bottom."""

    network: Any
    processor: Any
    device: str
    square: bool

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """By the model's own transform; all images come out in one size."""
        inputs = self.processor.image_processor(image, return_tensors="pt")
        pixels: torch.Tensor = inputs["pixel_values"][0]
        return pixels

    def problem(self, phrase: str) -> str | None:
        """The length of a phrase is limited."""
        if len(self.processor.tokenizer(phrase, verbose=False)["input_ids"]) > self._max_tokens:
            return f"longer than the {self._max_tokens} tokens that the detector reads"
        return None

    def detect(self, queries: Sequence[DetectionQuery]) -> list[RawBoxes]:
        """All patches of every image."""
        import torch
        from transformers.image_transforms import center_to_corners_format

        most = max(len(query.phrases) for query in queries)
        # The model wants equally many phrases an image; the results of the padding are dropped.
        padded = [(query.phrases + query.phrases[:1] * most)[:most] for query in queries]
        with torch.inference_mode():
            output = self.network(
                pixel_values=torch.stack([query.pixels for query in queries]).to(self.device),
                **self._tokens([phrase for phrases in padded for phrase in phrases]),
            )
            boxes: Any = center_to_corners_format(output.pred_boxes.float())
            logits = output.logits.float().cpu()
        return [
            RawBoxes(boxes[n].cpu() * self._scale(query), logits[n, :, : len(query.phrases)])
            for n, query in enumerate(queries)
        ]

    def _tokens(self, texts: list[str]) -> dict[str, torch.Tensor]:
        tokens = self.processor.tokenizer(
            texts, padding="max_length", max_length=self._max_tokens, return_tensors="pt"
        ).to(self.device)
        return {name: tokens[name] for name in ("input_ids", "attention_mask")}

    @property
    def _max_tokens(self) -> int:
        return int(self.network.config.text_config.max_position_embeddings)

    def _scale(self, query: DetectionQuery) -> torch.Tensor:
        """From fractions of the padded image's sides to fractions of the image's own sides."""
        import torch

        if not self.square:
            return torch.ones(4)
        longest = max(query.size)
        return torch.tensor([longest / side for side in query.size] * 2)
