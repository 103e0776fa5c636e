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
        found = self.processor.image_processor(image, return_tensors="pt")
        made: torch.Tensor = found["pixel_values"][0]
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
        for n, one in enumerate(asked):
            for text in self._texts(n, [plain(query) for query in one.queries]):
                groups[one.pixels.shape].append(text)
        found: dict[int, list[RawBoxes]] = defaultdict(list)
        for texts in groups.values():
            for text, raw in zip(texts, self._seen(texts, asked), strict=True):
                found[text.owner].append(raw)
        return [_joined(found[n]) for n in range(len(asked))]

    @property
    def _room(self) -> int:
        """Tokens of a text beside those that begin and end it."""
        return int(self.network.config.max_text_len) - 2

    def _length(self, query: str) -> int:
        """Tokens of a query with its full stop; 0 for one without a token of its own."""
        found = self.processor.tokenizer(query, add_special_tokens=False)["input_ids"]
        return len(found) + 1 if found else 0

    def _texts(self, owner: int, queries: Sequence[str]) -> Iterator[_Text]:
        """As few texts as hold all queries."""
        some: list[int] = []
        room = self._room
        for n, query in enumerate(queries):
            length = self._length(query)
            if some and length > room:
                yield self._text(owner, queries, some)
                some, room = [], self._room
            some.append(n)
            room -= length
        yield self._text(owner, queries, some)

    def _text(self, owner: int, queries: Sequence[str], some: Sequence[int]) -> _Text:
        text, places = "", {}
        for n in some:
            begin = len(text)
            text += queries[n]
            places[n] = range(begin, len(text))
            text += ". "
        given = self.processor.tokenizer(text.rstrip(), return_offsets_mapping=True)
        offsets = given["offset_mapping"]
        tokens = {
            n: tuple(t for t, (begin, end) in enumerate(offsets) if begin in place and end > begin)
            for n, place in places.items()
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

    found = torch.full((len(logits), count), -torch.inf)
    for n, some in tokens.items():
        if some:
            found[:, n] = logits[:, list(some)].max(dim=1).values
    return found


def _joined(found: Sequence[RawBoxes]) -> RawBoxes:
    """What was seen of one picture by several texts."""
    import torch

    return RawBoxes(
        torch.cat([raw.boxes for raw in found]), torch.cat([raw.logits for raw in found])
    )
