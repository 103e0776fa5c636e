"""Removes what images carry beside their pixels: EXIF, XMP, comments, thumbnails, other images.

Cameras write places and names there, and image tools prompts and paths. JPEG, PNG and WebP files
keep what makes the image, to the byte, and their colour profile. All else is rewritten from
its pixels, so that nothing is passed on unseen: what EXIF says is turned, animations, files that
are not understood to their end, and every BMP, GIF and TIFF, which become PNG. What can't be read
is refused.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pyarrow as pa

from invdpo.curate.dataset.containers import Parts, altered, kept_parts
from invdpo.schemas import DataError
from invdpo.schemas.io.colours import COVERED, clean_profile
from invdpo.schemas.io.images import decode, format_of, open_image, orientation, upright

WRITTEN: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True, "exact": True},
}
"""Formats that are rewritten in the same format, and how; the others become PNG."""
MODES = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
}
"""Pillow's modes that a format holds as they are; others are written as they are shown."""
UNREADABLE = (DataError, IndexError, ValueError, struct.error, zlib.error)
"""What taking an image apart raises where it is not understood."""


def holds_metadata(data: memoryview) -> bool:
    """Whether `without_metadata` would change an image, or refuse it; no pixel is read.

    Nothing is copied: a part that is in `data`, where it would stand in the clean file, is equal.
    """
    start, at = pa.py_buffer(data).address, 0
    try:
        for part in _parts(data):
            end = at + len(part)
            if pa.py_buffer(part).address != start + at and bytes(part) != bytes(data[at:end]):
                return True
            at = end
    except UNREADABLE:
        return True
    return at != len(data)


def without_metadata(data: bytes) -> bytes:
    """An image without them; the same bytes where it has none. Raises `DataError` for no image."""
    kept = _kept(data)
    if kept is not None and _holds_more(kept):
        return _written_anew(data)
    if kept == data:
        return data
    if kept is not None:
        with open_image(data) as image:
            if orientation(image) == 1:
                return kept
    return _written_anew(data)


def _kept(data: bytes) -> bytes | None:
    """The file without what is dropped; None when that can't be known without its pixels."""
    try:
        return b"".join(_parts(data, unpack=True))
    except UNREADABLE:
        return None


def _parts(data: bytes | memoryview, *, unpack: bool = False) -> Parts:
    with open_image(data) as image:
        profile = clean_profile(image.info.get("icc_profile"))
    return kept_parts(memoryview(data), profile, unpack=unpack)


def _holds_more(data: bytes) -> bool:
    """Whether the packed pixels end with what makes no difference to the image."""
    pixels = _pixels(data)
    return any(_pixels(other) == pixels for other in altered(data))


def _pixels(data: bytes) -> bytes | None:
    try:
        with open_image(data) as image:
            return image.tobytes()
    except DataError:
        return None


def _written_anew(data: bytes) -> bytes:
    with open_image(data) as image:
        kind = format_of(image) if format_of(image) in WRITTEN else "PNG"
        profile = clean_profile(image.info.get("icc_profile"))
        pixels = upright(image).copy()
        deep = pixels.mode == "I;16" and image.format == "PNG"
        plain = pixels.mode in MODES[kind] and (kind == "PNG" or "transparency" not in pixels.info)
        if not (plain or deep) or COVERED in pixels.info:  # held otherwise in this format
            pixels, profile = decode(data), None
        key = pixels.info.get("transparency")
        pixels.info = {} if key is None else {"transparency": key}  # writers pass on the rest
        file = io.BytesIO()
        pixels.save(file, kind, icc_profile=profile, **WRITTEN[kind])
        return file.getvalue()
