"""Pictures that we make: encoding them, and a hash that near-equal ones share."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
