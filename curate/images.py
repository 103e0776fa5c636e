"""Pictures as bytes: decoding what others made, encoding what we make, and a perceptual hash."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import TYPE_CHECKING

from invdpo.schemas import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

MAX_PIXELS = 64_000_000
"""Pictures with more are refused before they are unpacked: they would fill the memory."""
MAX_SIDE = 32_768
"""Wider or higher ones are no pictures, however few pixels they have."""


def decode(data: bytes | None) -> Image.Image:
    """Bytes of any common format to an RGB picture. Raises `DataError` with the reason."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise DataError("image can't be decoded: no bytes")
    try:
        with warnings.catch_warnings():
            # Pillow only warns of pictures in this range; the check below is the stricter one.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                check_size(image.width, image.height)
                return image.convert("RGB")
    except UnidentifiedImageError:
        raise DataError("image can't be decoded: not a known image format") from None
    except Image.DecompressionBombError:
        raise DataError(f"image can't be decoded: over {MAX_PIXELS:,} pixels") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise DataError(f"image can't be decoded: {error}") from None


def check_size(width: int, height: int) -> None:
    """Raises `DataError` for a picture of absurd size."""
    if max(width, height) > MAX_SIDE:
        text = f"image can't be decoded: {width}x{height} has a side over {MAX_SIDE:,} pixels"
        raise DataError(text)
    if width * height > MAX_PIXELS:
        text = f"image can't be decoded: {width}x{height} is over {MAX_PIXELS:,} pixels"
        raise DataError(text)


def encode(picture: NDArray[np.uint8]) -> bytes:
    """An H×W×3 picture as PNG, lossless; lightly compressed, since sampling should set the pace."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def perceptual_hash(picture: NDArray[np.uint8]) -> str:
    """64 bits in hexadecimal that near-equal pictures share (`imagehash`'s DCT hash)."""
    import imagehash
    from PIL import Image

    return str(imagehash.phash(Image.fromarray(picture)))
