"""Images small enough for one page, as data URIs, always decoded and encoded again."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, NamedTuple

from invdpo.schemas import DataError
from invdpo.schemas.io.images import decode

if TYPE_CHECKING:
    from PIL import Image

SIDE = 384
"""Longest side in pixels."""
LOSSLESS = 128
"""Images up to this size stay lossless."""
QUALITIES = (82, 60, 35)


class Thumbnail(NamedTuple):
    """An image as the page has it."""

    uri: str
    width: int
    height: int
    """Of the image as it was, in pixels."""

    @property
    def small(self) -> bool:
        """Whether it is shown larger than it is, pixel by pixel."""
        return max(self.width, self.height) <= LOSSLESS


def data_uri(data: bytes, kind: str) -> str:
    """`data:image/png;base64,…`."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def make_thumbnail(data: bytes | None, budget: int) -> Thumbnail | None:
    """A small image of at most `budget` bytes; None where it can't be decoded."""
    try:
        image = decode(data)
    except DataError:
        return None
    width, height = image.size
    if max(image.size) <= LOSSLESS:
        encoded = _encode(image, "PNG", optimize=True)
        if len(encoded) <= budget:
            return Thumbnail(data_uri(encoded, "png"), width, height)
    return Thumbnail(data_uri(_shrunk(image, budget), "webp"), width, height)


def _shrunk(image: Image.Image, budget: int) -> bytes:
    """First of lower quality, then smaller, until it fits; never below 8 pixels a side."""
    side = SIDE
    while True:
        small = image.copy()
        small.thumbnail((side, side))
        for quality in QUALITIES:
            encoded = _encode(small, "WEBP", quality=quality, method=4)
            if len(encoded) <= budget or side <= 8:
                return encoded
        side //= 2


def _encode(image: Image.Image, kind: str, **options: int | bool) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
