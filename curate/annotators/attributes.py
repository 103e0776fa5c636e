"""Which attribute a cut-out shows, of the alternatives of its kind, by open_clip.

Legend: n cut-outs, m alternatives, d the width of the joint embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from math import ceil, floor
from typing import TYPE_CHECKING, NamedTuple

from invdpo.curate.prompts.vocabulary import Vocabulary, read_vocabulary
from invdpo.curate.sampler import torch_device
from invdpo.curate.scorers import clip_model
from invdpo.curate.scorers.towers import OpenClip
from invdpo.schemas import SceneGraph
from invdpo.schemas.config import AnnotateConfig
from invdpo.schemas.graph import Box

if TYPE_CHECKING:
    import torch
    from PIL import Image

REMEMBERED = 1024


class Choice(NamedTuple):
    """A question about one thing: which of these words suits it."""

    label: str
    words: tuple[str, ...]


class Alternatives:
    """The words of a vocabulary by kind, as far as `kinds` names it. Raises `DataError`."""

    def __init__(self, path: str | None, kinds: Iterable[str]) -> None:
        self.words: Vocabulary = read_vocabulary(path)
        wanted = {*kinds}
        self._kind = {
            word: kind
            for kind, some in self.words.attributes.items()
            for word in some
            if kind in wanted
        }

    def choices(self, graph: SceneGraph) -> dict[str, list[Choice]]:
        """Label -> what can be asked of things of that name, by what the prompt says of them."""
        said: dict[str, dict[str, set[str]]] = {}
        for item in graph.items:
            for word in item.attributes:
                if kind := self._kind.get(_folded(word)):
                    said.setdefault(item.label, {}).setdefault(kind, set()).add(word)
        return {
            label: [Choice(label, self._against(kind, words)) for kind, words in kinds.items()]
            for label, kinds in said.items()
        }

    def unknown(self, graph: SceneGraph) -> list[str]:
        """The attributes of a graph that are of no kind that is judged."""
        words = dict.fromkeys(word for item in graph.items for word in item.attributes)
        return [word for word in words if _folded(word) not in self._kind]

    def _against(self, kind: str, said: set[str]) -> tuple[str, ...]:
        """The prompt's own words, and all others of their kind that don't mean the same."""
        plain = {_folded(word) for word in said}
        same = {word for some in self.words.synonyms if plain & {*some} for word in some}
        others = [word for word in self.words.attributes[kind] if word not in plain | same]
        return (*sorted(said), *others)


def _folded(word: str) -> str:
    return " ".join(word.casefold().split())


class Eye:
    """The open_clip model that chooses; loaded at the first question, `ModelError` if it can't."""

    def __init__(self, config: AnnotateConfig) -> None:
        self._config = config
        self._texts = lru_cache(REMEMBERED)(self._encoded)

    @cached_property
    def source(self) -> clip_model.Source:
        """What the configuration names. Raises `ModelError`."""
        config = self._config
        return clip_model.find(config.detector_clip_model, config.detector_clip_pretrained)

    @cached_property
    def _towers(self) -> OpenClip:
        device = torch_device(self._config.device)
        return OpenClip(clip_model.load(self.source, device), device)

    def choose(self, image: Image.Image, asked: Sequence[tuple[Box, Choice]]) -> list[str]:
        """The word that suits best, for each box and its question."""
        import torch

        if not asked:
            return []
        boxes = list(dict.fromkeys(box for box, _ in asked))
        pixels = torch.stack([self._towers.pixels(_cut(image, box)) for box in boxes])
        with torch.inference_mode():
            seen = self._towers.images(pixels.to(self._towers.device))
        shown: Mapping[Box, torch.Tensor] = dict(zip(boxes, seen, strict=True))
        return [
            choice.words[int((self._texts(choice) @ shown[box]).argmax())] for box, choice in asked
        ]

    def _encoded(self, choice: Choice) -> torch.Tensor:
        """Unit embeddings of a phrase for each word, m×d."""
        import torch

        texts = [f"a photo of a {word} {choice.label}" for word in choice.words]
        with torch.inference_mode():
            return self._towers.texts(texts)


def _cut(image: Image.Image, box: Box) -> Image.Image:
    """What lies in a box; at least one pixel."""
    width, height = image.size
    left, top = min(floor(box[0] * width), width - 1), min(floor(box[1] * height), height - 1)
    right, bottom = max(ceil(box[2] * width), left + 1), max(ceil(box[3] * height), top + 1)
    return image.crop((left, top, min(right, width), min(bottom, height)))
