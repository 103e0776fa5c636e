"""Grounding DINO: several phrases are in one text, and boxes point at its tokens.

Legend: k phrases of an image, q boxes of an image, t tokens of a text.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from invdpo.curate.annotators.detector.boxes import DetectionQuery, RawBoxes

if TYPE_CHECKING:
    import torch
    from PIL import Image


class _Text(NamedTuple):
    """Some of an image's phrases in one text, each ended by a full stop."""

    query: int
    """Index of the image's query."""
    text: str
    tokens: Mapping[int, tuple[int, ...]]
    """Index of a phrase -> positions of its tokens."""


class Dino(NamedTuple):
    """A loaded model."""

    network: Any
    processor: Any
    device: str

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """By the model's own transform; the aspect ratio of the image is kept."""
        inputs = self.processor.image_processor(image, return_tensors="pt")
        pixels: torch.Tensor = inputs["pixel_values"][0]
        return pixels

    def problem(self, phrase: str) -> str | None:
        """A phrase needs a token, and its length is limited."""
        length = self._length(normalize(phrase))
        if not length:
            return "without a word that the detector reads"
        return f"longer than {self._max_tokens} tokens" if length > self._max_tokens else None

    def detect(self, queries: Sequence[DetectionQuery]) -> list[RawBoxes]:
        """All boxes of every image; each call of the network takes images of one shape."""
        groups: dict[Any, list[_Text]] = defaultdict(list)
        for n, query in enumerate(queries):
            for text in self._texts(n, [normalize(phrase) for phrase in query.phrases]):
                groups[query.pixels.shape].append(text)
        boxes: dict[int, list[RawBoxes]] = defaultdict(list)
        for texts in groups.values():
            for text, raw in zip(texts, self._run(texts, queries), strict=True):
                boxes[text.query].append(raw)
        return [_concatenate(boxes[n]) for n in range(len(queries))]

    @property
    def _max_tokens(self) -> int:
        """Tokens of a text beside those that begin and end it."""
        return int(self.network.config.max_text_len) - 2

    def _length(self, phrase: str) -> int:
        """Tokens of a phrase with its full stop; 0 for one without a token of its own."""
        tokens = self.processor.tokenizer(phrase, add_special_tokens=False, verbose=False)[
            "input_ids"
        ]
        return len(tokens) + 1 if tokens else 0

    def _texts(self, query: int, phrases: Sequence[str]) -> Iterator[_Text]:
        """As few texts as hold all phrases."""
        batch: list[int] = []
        room = self._max_tokens
        for n, phrase in enumerate(phrases):
            length = self._length(phrase)
            if batch and length > room:
                yield self._text(query, phrases, batch)
                batch, room = [], self._max_tokens
            batch.append(n)
            room -= length
        yield self._text(query, phrases, batch)

    def _text(self, query: int, phrases: Sequence[str], batch: Sequence[int]) -> _Text:
        text, spans = "", {}
        for n in batch:
            begin = len(text)
            text += phrases[n]
            spans[n] = range(begin, len(text))
            text += ". "
        inputs = self.processor.tokenizer(text.rstrip(), return_offsets_mapping=True, verbose=False)
        offsets = inputs["offset_mapping"]
        tokens = {
            n: tuple(t for t, (begin, end) in enumerate(offsets) if begin in span and end > begin)
            for n, span in spans.items()
        }
        return _Text(query, text.rstrip(), tokens)

    def _run(self, texts: Sequence[_Text], queries: Sequence[DetectionQuery]) -> list[RawBoxes]:
        """Boxes q×4 and logits q×k: the greatest logit of each phrase's tokens."""
        import torch
        from transformers.image_transforms import center_to_corners_format

        pixels = torch.stack([queries[text.query].pixels for text in texts])
        inputs = self.processor.tokenizer(
            [text.text for text in texts],
            padding=True,
            return_token_type_ids=True,
            return_tensors="pt",
        ).to(self.device)
        with torch.inference_mode():
            output = self.network(pixel_values=pixels.to(self.device), **inputs)
            boxes: Any = center_to_corners_format(output.pred_boxes.float())
            logits = output.logits.float().cpu()
        counts = [len(queries[text.query].phrases) for text in texts]
        return [
            RawBoxes(boxes[n].cpu(), _phrase_logits(logits[n], text.tokens, count))
            for n, (text, count) in enumerate(zip(texts, counts, strict=True))
        ]


def normalize(phrase: str) -> str:
    """The phrase in lower case and on one line, without full stops and question marks.

    These would end the phrase.
    """
    return " ".join(phrase.lower().replace(".", " ").replace("?", " ").split())


def _phrase_logits(
    logits: torch.Tensor, tokens: Mapping[int, tuple[int, ...]], count: int
) -> torch.Tensor:
    """From q×t to q×k; minus infinity for phrases of other texts."""
    import torch

    by_phrase = torch.full((len(logits), count), -torch.inf)
    for n, positions in tokens.items():
        if positions:
            by_phrase[:, n] = logits[:, list(positions)].max(dim=1).values
    return by_phrase


def _concatenate(parts: Sequence[RawBoxes]) -> RawBoxes:
    """The boxes of one image by several texts."""
    import torch

    return RawBoxes(
        torch.cat([raw.boxes for raw in parts]), torch.cat([raw.logits for raw in parts])
    )
