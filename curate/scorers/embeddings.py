"""Scorers that compare a picture's embedding with that of its prompt.

n pictures or texts, d the width of the joint embedding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, Protocol

from invdpo.curate.candidate import IMAGE, PROMPT, Candidate
from invdpo.curate.checkpoints import open_clip
from invdpo.curate.scorers.base import Judged
from invdpo.schemas.config.score import ScoreConfig

if TYPE_CHECKING:
    import torch
    from PIL import Image

REMEMBERED = 4096
"""Text embeddings kept, so that a prompt whose candidates span batches is encoded once."""


class Towers(Protocol):
    """A model with a tower for pictures and one for texts."""

    @property
    def device(self) -> str:
        """Where it computes."""
        ...

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """An RGB picture as the model takes it, 3×H×W; may be called from several threads."""
        ...

    def images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Unit embeddings, n×3×H×W to n×d."""
        ...

    def texts(self, texts: list[str]) -> torch.Tensor:
        """Unit embeddings, n×d."""
        ...


class OpenClip(NamedTuple):
    """The towers of an open_clip model."""

    model: open_clip.ClipModel
    device: str

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """By the model's own transform."""
        return self.model.preprocess(image)

    def images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Unit embeddings, n×d."""
        embeddings: torch.Tensor = self.model.network.encode_image(pixels, normalize=True)
        return embeddings

    def texts(self, texts: list[str]) -> torch.Tensor:
        """Unit embeddings, n×d."""
        tokens = self.model.tokenize(texts).to(self.device)
        embeddings: torch.Tensor = self.model.network.encode_text(tokens, normalize=True)
        return embeddings


class CosineScorer(ABC):
    """The cosine of picture and prompt, times a factor; each distinct prompt is encoded once.

    The model is loaded at the first picture; then `ModelError` is raised if that can't be done.
    """

    name: str
    needs: Sequence[str] = (IMAGE, PROMPT)
    higher_is_better = True
    factor = 1.0

    def __init__(self, config: ScoreConfig) -> None:
        self._config = config
        self._loaded: Towers | None = None
        self._lock = Lock()
        self._texts: OrderedDict[str, torch.Tensor] = OrderedDict()

    @abstractmethod
    def load(self) -> Towers:
        """The model, in evaluation mode on its device."""

    @property
    def towers(self) -> Towers:
        """The model, loaded once whichever thread asks first."""
        with self._lock:
            if self._loaded is None:
                self._loaded = self.load()
            return self._loaded

    def prepare(self, candidate: Candidate) -> torch.Tensor:
        """The picture as the model takes it."""
        return self.towers.pixels(candidate.image)

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
        """One score a case."""
        import torch

        with torch.inference_mode():
            cosines = (self._images(candidates) * self._prompts(candidates)).sum(dim=1)
        return [Judged(self.factor * cosine) for cosine in cosines.double().tolist()]

    def _images(self, candidates: Sequence[Candidate]) -> torch.Tensor:
        import torch

        ready = [candidate.prepared.pop(self.name, None) for candidate in candidates]
        pixels = [
            self.prepare(candidate) if made is None else made
            for candidate, made in zip(candidates, ready, strict=True)
        ]
        return self.towers.images(torch.stack(pixels).to(self.towers.device))

    def _prompts(self, candidates: Sequence[Candidate]) -> torch.Tensor:
        import torch

        prompts = [candidate.prompt for candidate in candidates]
        if new := [text for text in dict.fromkeys(prompts) if text not in self._texts]:
            self._texts.update(zip(new, self.towers.texts(new), strict=True))
        chosen = torch.stack([self._texts[text] for text in prompts])
        while len(self._texts) > REMEMBERED:
            self._texts.popitem(last=False)
        return chosen
