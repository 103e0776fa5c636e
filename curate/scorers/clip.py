"""`clip`: cosine of image and text embeddings by any open_clip model.

n pictures or texts, d the width of the joint embedding.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from invdpo.curate.sampler import torch_device
from invdpo.curate.scorers import clip_model
from invdpo.curate.scorers.base import IMAGE, PROMPT, SCORERS, Case, Judged
from invdpo.schemas.config import ScoreConfig

if TYPE_CHECKING:
    import torch

REMEMBERED = 4096
"""Text embeddings kept, so that a prompt whose candidates span batches is encoded once."""


@SCORERS.register("clip")
class ClipScorer:
    """CLIP score, -1..1. Raises `ModelError` in the first call when the model can't be loaded."""

    name = "clip"
    needs: Sequence[str] = (IMAGE, PROMPT)
    higher_is_better = True
    comparable_across_prompts = True

    def __init__(self, config: ScoreConfig) -> None:
        self._config = config
        self._texts: OrderedDict[str, torch.Tensor] = OrderedDict()

    @cached_property
    def revision(self) -> str:
        """Hash of the weights, or the pretrained tag."""
        return self._source.revision()

    def __call__(self, cases: Sequence[Case]) -> list[Judged]:
        """Cosines of each case's picture and prompt."""
        import torch

        with torch.inference_mode():
            cosines = (self._images(cases) * self._prompts(cases)).sum(dim=1)
        return [Judged(cosine) for cosine in cosines.double().tolist()]

    @cached_property
    def _source(self) -> clip_model.Source:
        return clip_model.find(self._config.clip_model, self._config.clip_pretrained)

    @cached_property
    def _device(self) -> str:
        return torch_device(self._config.device)

    @cached_property
    def _model(self) -> clip_model.ClipModel:
        return clip_model.load(self._source, self._device)

    def _images(self, cases: Sequence[Case]) -> torch.Tensor:
        """Unit embeddings of the pictures, n×d."""
        import torch

        pixels = torch.stack([self._model.preprocess(case.image) for case in cases])
        embeddings: torch.Tensor = self._model.network.encode_image(
            pixels.to(self._device), normalize=True
        )
        return embeddings

    def _prompts(self, cases: Sequence[Case]) -> torch.Tensor:
        """Unit embeddings of the prompts, n×d; each distinct prompt goes through once."""
        import torch

        prompts = [case.prompt for case in cases]
        if new := [text for text in dict.fromkeys(prompts) if text not in self._texts]:
            tokens = self._model.tokenize(new).to(self._device)
            encoded = self._model.network.encode_text(tokens, normalize=True)
            self._texts.update(zip(new, encoded, strict=True))
        chosen = torch.stack([self._texts[text] for text in prompts])
        while len(self._texts) > REMEMBERED:
            self._texts.popitem(last=False)
        return chosen
