"""Names of files for pictures: safe ones, with the suffix that their bytes call for."""

from __future__ import annotations

import io
import re
import warnings

from invdpo.curate.images import MAX_PIXELS
from invdpo.schemas.ids import content_id

SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
SUFFIXES = {"JPEG": "jpg", "TIFF": "tif"}
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""What is read. Pillow knows more, some by starting other programs."""


def stem(pair_id: str) -> str:
    """The id itself where it can name a file on any system, else a hash of it."""
    return pair_id if SAFE.fullmatch(pair_id) else content_id(pair_id)


def suffix(data: bytes) -> str | None:
    """`png` and the like, by a picture's header; None for what is no picture, or too large."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow only warns of pictures in this range; the check below is the stricter one.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    return None
                kind = str(image.format)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return SUFFIXES.get(kind, kind.lower())
