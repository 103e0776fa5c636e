"""Images for others: encoded, and as we read them; and a hash that near-equal ones share."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

from invdpo.schemas.io.images import decode, viewed_alike

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def encode(picture: NDArray[np.uint8]) -> bytes:
    """An H×W×3 image as PNG, lossless; lightly compressed, since sampling should set the pace."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class Shown(NamedTuple):
    """An image for a browser or a model's server."""

    kind: str
    """`png`, `jpeg` or `webp`."""
    content: bytes


def for_viewers(content: bytes) -> Shown:
    """The bytes themselves where every program shows them as `decode` does, else PNG of that.

    Raises `DataError` for what is not an image, or is truncated.
    """
    import numpy as np

    pixels = decode(content)
    if kind := viewed_alike(content):
        return Shown(kind, content)
    return Shown("png", encode(np.asarray(pixels)))


def perceptual_hash(picture: NDArray[np.uint8]) -> str:
    """64 bits in hexadecimal that near-equal images share (`imagehash`'s DCT hash)."""
    import imagehash
    from PIL import Image

    return str(imagehash.phash(Image.fromarray(picture)))
