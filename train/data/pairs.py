"""Preference pairs, and what was left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from invdpo.schemas.errors import DataError
from invdpo.schemas.graph import Boxes
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.text import count_noun
from invdpo.schemas.layouts.rows import UNREADABLE
from invdpo.train.data.buckets import Size, fit_box

NAMED_ROWS = 5
"""Rows with unreadable images that a message names."""


@dataclass(frozen=True)
class Pair:
    """One preference; its images are named by the hash of their bytes."""

    pair_id: str
    prompt: str
    chosen: str
    rejected: str
    row: str
    """File and row, for messages."""
    sizes: tuple[Size, Size] = ((0, 0), (0, 0))
    """(width, height) of chosen and rejected in pixels, as they are shown."""
    bucket: Size = (0, 0)
    """What both are fitted to."""
    margin: float | None = None
    """How far the scores of both are apart, where the dataset has it."""
    seeds: tuple[int | None, int | None] = (None, None)
    """Of the noise that chosen and rejected were generated from, where the dataset has it."""
    revisions: tuple[str | None, str | None] = (None, None)
    """Of the models that generated them."""
    own_noise: tuple[bool, bool] = (False, False)
    """Whether each side is seen along the noise of its seed, and not along an inversion."""
    readings: tuple[int, int] = (1, 1)
    """The rule by which chosen and rejected are read: caches of an older rule are not for them."""
    boxes: tuple[Boxes, Boxes] = ((), ())
    """On chosen and rejected, as they are shown: what counts more, where boxes are weighed."""

    @property
    def images(self) -> tuple[str, str]:
        """Ids of the chosen and the rejected image."""
        return self.chosen, self.rejected

    @property
    def fitted_boxes(self) -> tuple[Boxes, Boxes]:
        """Boxes on both images as they are fitted to the bucket; cropped parts are beyond 0..1."""
        chosen, rejected = (
            tuple(fit_box(box, size, self.bucket) for box in boxes)
            for boxes, size in zip(self.boxes, self.sizes, strict=True)
        )
        return chosen, rejected

    @property
    def pictures(self) -> tuple[str, str]:
        """Ids of both images as they are read and fitted to the bucket."""
        chosen, rejected = (
            content_id(image, self.bucket, *([reading] if reading > 1 else []))
            for image, reading in zip(self.images, self.readings, strict=True)
        )
        return chosen, rejected

    @property
    def walks(self) -> tuple[Walk, Walk]:
        """What the points of chosen and rejected are computed from."""
        chosen, rejected = (
            Walk(picture, self.prompt, seed if own else None)
            for picture, seed, own in zip(self.pictures, self.seeds, self.own_noise, strict=True)
        )
        return chosen, rejected


@dataclass(frozen=True)
class Walk:
    """A fitted image under a prompt, inverted, or noised with what it was generated from."""

    picture: str
    prompt: str
    seed: int | None = None
    """Of its own noise; None for an inversion."""

    @property
    def id(self) -> str:
        """Its name in the cache."""
        return content_id(self.picture, self.prompt, *([] if self.seed is None else [self.seed]))


@dataclass
class Pairs:
    """The usable pairs of a split, and what was left out."""

    pairs: list[Pair] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    """Reason -> number of rows."""
    examples: dict[str, str] = field(default_factory=dict)
    """Reason -> the first such row."""
    unreadable: list[str] = field(default_factory=list)
    """Rows with an image that can't be read."""

    def skip(self, reason: str, row: str) -> None:
        """Count a row that can't be used."""
        self.skipped[reason] += 1
        self.examples.setdefault(reason, row)

    def skip_unreadable(self, row: str, limit: int | None = None) -> None:
        """Count a row with an image that can't be read. Raises `DataError` beyond the limit."""
        self.skip(UNREADABLE, row)
        self.unreadable.append(row)
        if limit is not None and len(self.unreadable) > limit:
            named, more = self.unreadable[:NAMED_ROWS], len(self.unreadable) > NAMED_ROWS
            rows = count_noun(len(self.unreadable), "row")
            raise DataError(
                f"Images that can't be read: in {rows}, at most {limit} allowed "
                f"(max_unreadable): {', '.join(named)}{', …' if more else ''}. Repair "
                "these images, remove the rows, or allow more."
            )
