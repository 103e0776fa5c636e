"""The base class of scorers that compare an image's embedding with that of its prompt.

Legend: n images or texts, d the width of the joint embedding.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from invdpo.curate.candidate import IMAGE, PROMPT, Candidate
from invdpo.curate.checkpoints.load_once import LoadOnce
from invdpo.curate.scorers.base import Judged, Scorer
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.io.logs import quiet_libraries

if TYPE_CHECKING:
    import torch
    from PIL import Image

MAX_CACHED_TEXTS = 4096
"""Text embeddings kept, so that a prompt whose candidates span batches is encoded once."""


class Encoder(Protocol):
    """A model that encodes images and texts."""

    @property
    def device(self) -> str:
        """The torch device that it computes on."""
        ...

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """An RGB image as the model takes it, 3×H×W; may be called from several threads."""
        ...

    def images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Unit embeddings, n×3×H×W to n×d."""
        ...

    def texts(self, texts: list[str]) -> torch.Tensor:
        """Unit embeddings, n×d; texts are truncated to the encoder's length."""
        ...

    def are_cut(self, texts: list[str]) -> list[bool]:
        """For each text whether it is longer than that."""
        ...


class CosineScorer(Scorer):
    """The cosine of image and prompt, times a factor; each distinct prompt is encoded once.

    The model is loaded at the first image. Raises `ModelError` then if that is not possible.
    """

    needs: Sequence[str] = (IMAGE, PROMPT)
    factor = 1.0

    def __init__(self, config: ScoreConfig) -> None:
        self._config = config
        self._encoder = LoadOnce(self.load)
        self._texts: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._cut: set[str] = set()

    @abstractmethod
    def load(self) -> Encoder:
        """The model, in evaluation mode on its device."""

    @property
    def encoder(self) -> Encoder:
        """The model."""
        return self._encoder()

    def prepare(self, candidate: Candidate) -> torch.Tensor:
        """The image as the model takes it."""
        return self.encoder.pixels(candidate.image)

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
        """One score a candidate."""
        import torch

        pixels = torch.stack(self.take_prepared(candidates))
        with torch.inference_mode():
            images = self.encoder.images(pixels.to(self.encoder.device))
            texts = self._encode_texts([candidate.prompt for candidate in candidates])
            cosines = (images * texts).sum(dim=1)
        pairs = zip(cosines.double().tolist(), candidates, strict=True)
        return [Judged(self.factor * cosine, cut=c.prompt in self._cut) for cosine, c in pairs]

    def _encode_texts(self, prompts: Sequence[str]) -> torch.Tensor:
        import torch

        if new := [text for text in dict.fromkeys(prompts) if text not in self._texts]:
            with quiet_libraries():
                self._texts.update(zip(new, self.encoder.texts(new), strict=True))
                cut = zip(new, self.encoder.are_cut(new), strict=True)
            self._cut |= {text for text, is_cut in cut if is_cut}
        embeddings = torch.stack([self._texts[text] for text in prompts])
        while len(self._texts) > MAX_CACHED_TEXTS:
            self._texts.popitem(last=False)
        return embeddings
