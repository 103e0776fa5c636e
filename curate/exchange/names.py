"""Names of image files: safe ones, with the suffix that the bytes call for."""

from __future__ import annotations

import re

from invdpo.schemas import DataError
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.images import open_image

SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
SUFFIXES = {"JPEG": "jpg", "TIFF": "tif"}
"""Of the formats whose suffix is not their name."""


def file_stem(pair_id: str) -> str:
    """The id itself where it can name a file on any system, else a hash of it."""
    return pair_id if SAFE.fullmatch(pair_id) else content_id(pair_id)


def image_suffix(data: bytes) -> str | None:
    """`png` and the like, by an image's header; None for what is no image, or too large."""
    try:
        with open_image(data) as image:
            kind = str(image.format)
    except DataError:
        return None
    return SUFFIXES.get(kind, kind.lower())
