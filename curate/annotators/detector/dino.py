"""Grounding DINO: all queries stand in one text, and boxes point at its tokens.

Legend: k queries of a picture, q boxes of a picture, t tokens of a text.
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
    """Some of a picture's queries in one text, each ended by a full stop."""

    owner: int
    """Number of the picture."""
    text: str
    tokens: Mapping[int, tuple[int, ...]]
    """Number of a query -> where its tokens stand."""


class Dino(NamedTuple):
    """A loaded model."""

    network: Any
    processor: Any
    device: str

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """By the model's own transform; the shape of the picture is kept."""
        prepared = self.processor.image_processor(image, return_tensors="pt")
        made: torch.Tensor = prepared["pixel_values"][0]
        return made

    def problem(self, query: str) -> str | None:
        """Full stops and question marks end a query, so they can't stand in one."""
        length = self._length(plain(query))
        if not length:
            return "without a word that the detector reads"
        return f"longer than {self._room} tokens" if length > self._room else None

    def look(self, asked: Sequence[DetectionQuery]) -> list[RawBoxes]:
        """All boxes of every picture; a call takes pictures of one shape, and fills up texts."""
        groups: dict[Any, list[_Text]] = defaultdict(list)
        for n, image in enumerate(asked):
            for text in self._texts(n, [plain(query) for query in image.queries]):
                groups[image.pixels.shape].append(text)
        boxes: dict[int, list[RawBoxes]] = defaultdict(list)
        for texts in groups.values():
            for text, raw in zip(texts, self._seen(texts, asked), strict=True):
                boxes[text.owner].append(raw)
        return [_joined(boxes[n]) for n in range(len(asked))]

    @property
    def _room(self) -> int:
        """Tokens of a text beside those that begin and end it."""
        return int(self.network.config.max_text_len) - 2

    def _length(self, query: str) -> int:
        """Tokens of a query with its full stop; 0 for one without a token of its own."""
        tokens = self.processor.tokenizer(query, add_special_tokens=False)["input_ids"]
        return len(tokens) + 1 if tokens else 0

    def _texts(self, owner: int, queries: Sequence[str]) -> Iterator[_Text]:
        """As few texts as hold all queries."""
        batch: list[int] = []
        room = self._room
        for n, query in enumerate(queries):
            length = self._length(query)
            if batch and length > room:
                yield self._text(owner, queries, batch)
                batch, room = [], self._room
            batch.append(n)
            room -= length
        yield self._text(owner, queries, batch)

    def _text(self, owner: int, queries: Sequence[str], numbers: Sequence[int]) -> _Text:
        text, spans = "", {}
        for n in numbers:
            begin = len(text)
            text += queries[n]
            spans[n] = range(begin, len(text))
            text += ". "
        given = self.processor.tokenizer(text.rstrip(), return_offsets_mapping=True)
        offsets = given["offset_mapping"]
        tokens = {
            n: tuple(t for t, (begin, end) in enumerate(offsets) if begin in span and end > begin)
            for n, span in spans.items()
        }
        return _Text(owner, text.rstrip(), tokens)

    def _seen(self, texts: Sequence[_Text], asked: Sequence[DetectionQuery]) -> list[RawBoxes]:
        """Boxes q×4 and logits q×k: the greatest of each query's tokens."""
        import torch
        from transformers.image_transforms import center_to_corners_format

        pixels = torch.stack([asked[text.owner].pixels for text in texts])
        given = self.processor.tokenizer(
            [text.text for text in texts],
            padding=True,
            return_token_type_ids=True,
            return_tensors="pt",
        ).to(self.device)
        with torch.inference_mode():
            seen = self.network(pixel_values=pixels.to(self.device), **given)
            boxes: Any = center_to_corners_format(seen.pred_boxes.float())
            logits = seen.logits.float().cpu()
        return [
            RawBoxes(
                boxes[n].cpu(), _by_query(logits[n], text.tokens, len(asked[text.owner].queries))
            )
            for n, text in enumerate(texts)
        ]


def plain(query: str) -> str:
    """A query in small letters and on one line, without what would end it."""
    return " ".join(query.lower().replace(".", " ").replace("?", " ").split())


def _by_query(
    logits: torch.Tensor, tokens: Mapping[int, tuple[int, ...]], count: int
) -> torch.Tensor:
    """From q×t to q×k; minus infinity for the queries of other texts."""
    import torch

    scores = torch.full((len(logits), count), -torch.inf)
    for n, positions in tokens.items():
        if positions:
            scores[:, n] = logits[:, list(positions)].max(dim=1).values
    return scores


def _joined(parts: Sequence[RawBoxes]) -> RawBoxes:
    """What was seen of one picture by several texts."""
    import torch

    return RawBoxes(
        torch.cat([raw.boxes for raw in parts]), torch.cat([raw.logits for raw in parts])
    )
