"""Pictures by their bytes: their id, their size as shown, and decoding them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageOps

from invdpo.train.data.buckets import Size

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""What is read. Pillow knows more, some by starting other programs."""
ORIENTATION = 0x0112
"""EXIF's tag; from 5 on the picture is shown lying on its side."""


def image_id(content: bytes) -> str:
    """32 hexadecimal digits over the encoded bytes."""
    return hashlib.sha256(content).hexdigest()[:32]


def shown_size(content: bytes) -> Size:
    """(width, height) as shown, from the header alone. Raises `ValueError` when there is none."""
    with _opened(content) as image:
        lying = _exif(image).get(ORIENTATION, 1) >= 5
        return (image.height, image.width) if lying else image.size


def decode(content: bytes) -> Image.Image:
    """The picture as RGB, the way up it is shown. Raises `ValueError` when it isn't one."""
    with _opened(content) as image:
        _exif(image)
        return ImageOps.exif_transpose(image).convert("RGB")


def _exif(image: Image.Image) -> Image.Exif:
    """The EXIF data of the header, which the picture keeps from now on.

    A PNG may bring more after its pixels. The class of PNGs would decode them all to look there, so
    the method of its base is called; size and decoding go by the same data then.
    """
    return Image.Image.getexif(image)


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            yield image
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # all that Pillow raises
        raise ValueError(str(error)) from None
