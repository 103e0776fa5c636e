"""The one door through which pictures of others come in: what is read, how large, which way up.

A file is read only in the `FORMATS` and up to the sizes below, and is turned as its EXIF data say.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from invdpo.schemas.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

Size = tuple[int, int]
"""(width, height) in pixels."""

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""What is read. Pillow knows more, some by starting other programs."""
MAX_PIXELS = 64_000_000
"""A picture with more is refused before it is unpacked: it would fill the memory."""
MAX_SIDE = 32_768
"""Anything wider or higher is no picture, however few pixels it has."""
ORIENTATION = 0x0112
"""EXIF's tag: 1 is upright, 2 to 4 are mirrored or upside down, 5 to 8 lie on a side."""


def decode(content: bytes | None) -> Image.Image:
    """The picture as RGB, the way up it is shown. Raises `DataError` with the reason."""
    from PIL import ImageOps

    with open_image(content) as image:
        upright = image if orientation(image) == 1 else ImageOps.exif_transpose(image)
        return upright.convert("RGB")


def shown_size(content: bytes) -> Size:
    """Width and height as shown, from the header alone. Raises `DataError` when there is none."""
    with open_image(content) as image:
        return (image.height, image.width) if orientation(image) >= 5 else image.size


@contextmanager
def open_image(content: bytes | None) -> Iterator[Image.Image]:
    """A picture whose pixels are not read yet, as Pillow opens it: neither turned nor converted.

    Raises `DataError` for what is no picture of `FORMATS`, or too large; also for what Pillow
    raises while the block reads its pixels.
    """
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise DataError("image can't be decoded: no bytes")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures; `check_size` is stricter and refuses them
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                check_size(image.width, image.height)
                yield image
    except (DataError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise DataError("image can't be decoded: not a known image format") from None
    except Image.DecompressionBombError:
        raise DataError(f"image can't be decoded: over {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # noqa: BLE001 - a damaged file makes Pillow raise any kind
        raise DataError(f"image can't be decoded: {error}") from None


def orientation(image: Image.Image) -> int:
    """How the picture is to be turned, by the EXIF data in its header: 1 to 8, 1 if it is upright.

    A PNG may bring more EXIF data behind its pixels. The class of PNGs would decode them all to
    look there, so the method of its base is called; what it finds is kept by the picture and is
    what `ImageOps.exif_transpose` goes by. So size and pixels always agree.
    """
    from PIL import Image

    value = Image.Image.getexif(image).get(ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def check_size(width: int, height: int) -> None:
    """Raises `DataError` for a picture of absurd size."""
    if max(width, height) > MAX_SIDE:
        text = f"image can't be decoded: {width}x{height} has a side over {MAX_SIDE:,} pixels"
        raise DataError(text)
    if width * height > MAX_PIXELS:
        text = f"image can't be decoded: {width}x{height} is over {MAX_PIXELS:,} pixels"
        raise DataError(text)
