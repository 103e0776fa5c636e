"""OWL-ViT and OWLv2: each query is compared with each patch on its own.

Legend: b pictures, k queries of a picture, m the most of them, p patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from invdpo.curate.annotators.detector.boxes import DetectionQuery, RawBoxes

if TYPE_CHECKING:
    import torch
    from PIL import Image


class Owl(NamedTuple):
    """A loaded model; `square`: pictures are filled up to a square at the right and below."""

    network: Any
    processor: Any
    device: str
    square: bool

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """By the model's own transform; all pictures come out in one size."""
        made: torch.Tensor = self.processor.image_processor(image, return_tensors="pt")[
            "pixel_values"
        ][0]
        return made

    def problem(self, query: str) -> str | None:
        """It reads so many tokens of a query and no more."""
        if len(self.processor.tokenizer(query)["input_ids"]) > self._longest:
            return f"longer than the {self._longest} tokens that the detector reads"
        return None

    def look(self, asked: Sequence[DetectionQuery]) -> list[RawBoxes]:
        """All patches of every picture."""
        import torch
        from transformers.image_transforms import center_to_corners_format

        most = max(len(query.queries) for query in asked)
        # The model wants equally many queries a picture; those that only fill up are not read.
        texts = [(query.queries + query.queries[:1] * most)[:most] for query in asked]
        with torch.inference_mode():
            seen = self.network(
                pixel_values=torch.stack([query.pixels for query in asked]).to(self.device),
                **self._tokens([text for queries in texts for text in queries]),
            )
            boxes: Any = center_to_corners_format(seen.pred_boxes.float())
            logits = seen.logits.float().cpu()
        return [
            RawBoxes(boxes[n].cpu() * self._stretch(query), logits[n, :, : len(query.queries)])
            for n, query in enumerate(asked)
        ]

    def _tokens(self, texts: list[str]) -> dict[str, torch.Tensor]:
        tokens = self.processor.tokenizer(
            texts, padding="max_length", max_length=self._longest, return_tensors="pt"
        ).to(self.device)
        return {name: tokens[name] for name in ("input_ids", "attention_mask")}

    @property
    def _longest(self) -> int:
        return int(self.network.config.text_config.max_position_embeddings)

    def _stretch(self, query: DetectionQuery) -> torch.Tensor:
        """From fractions of what the model was shown to fractions of the picture's own sides."""
        import torch

        if not self.square:
            return torch.ones(4)
        longest = max(query.size)
        return torch.tensor([longest / side for side in query.size] * 2)
