"""What pictures carry beside their pixels: EXIF, XMP, comments. Dropped from what is passed on.

Cameras write places and names there, and image tools prompts and paths. Pixels stay as they are,
to the byte, and so do colour profiles; only a picture that EXIF says is turned is written anew,
upright.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any

from invdpo.schemas import DataError
from invdpo.schemas.io.images import open_image, orientation

Chunk = tuple[int, int, bool]
"""Begin and end of a piece of a file, and whether it is dropped."""

JPEG, PNG, RIFF = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF"
DROPPED_SEGMENTS = (0xE1, 0xED, 0xFE)
"""Of JPEG: EXIF and XMP, IPTC, comments."""
DROPPED_CHUNKS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME", b"EXIF", b"XMP ")
"""Of PNG and WebP."""
PNG_HEAD, WEBP_HEAD = struct.Struct(">I4s"), struct.Struct("<4sI")
"""Length and name, name and length."""
EXIF_AND_XMP = 0b1100
"""Flags of an extended WebP file."""


def holds_metadata(data: memoryview) -> bool:
    """Whether `without_metadata` would change a picture; no pixel is read."""
    return any(dropped for _, _, dropped in _pieces(data))


def without_metadata(data: bytes) -> bytes:
    """A JPEG, PNG or WebP file without them; other files, and damaged ones, as they are."""
    view = memoryview(data)
    pieces = list(_pieces(view))
    if not any(dropped for _, _, dropped in pieces):
        return data
    if (upright := _upright(data)) is not None:
        return without_metadata(upright)
    kept = b"".join(view[begin:end] for begin, end, dropped in pieces if not dropped)
    return _webp_head(kept) if data.startswith(RIFF) else kept


def _pieces(data: memoryview) -> Iterator[Chunk]:
    """All of a file, piece by piece; nothing where its form is not known or it is damaged."""
    head = bytes(data[:12])
    try:
        if head.startswith(JPEG):
            return iter(list(_segments(data)))
        if head.startswith(PNG):
            return iter(list(_chunks(data, len(PNG), PNG_HEAD, 4)))
        if head.startswith(RIFF) and head[8:] == b"WEBP":
            return iter(list(_chunks(data, 12, WEBP_HEAD, 0)))
    except (struct.error, IndexError, ValueError):
        pass
    return iter(())


def _segments(data: memoryview) -> Iterator[Chunk]:
    yield 0, 2, False
    place = 2
    while data[place + 1] != 0xDA:  # what follows the start of a scan is pixels
        if data[place] != 0xFF:
            raise ValueError("no marker")
        end = place + 2 + struct.unpack_from(">H", data, place + 2)[0]
        yield place, end, data[place + 1] in DROPPED_SEGMENTS
        place = end
    yield place, len(data), False


def _chunks(data: memoryview, start: int, head: struct.Struct, tail: int) -> Iterator[Chunk]:
    """Chunks that begin with a name and a length (`head`) and end with `tail` bytes more."""
    yield 0, start, False
    place, whole = start, len(data)
    while place < whole:
        one, other = head.unpack_from(data, place)
        name, size = (other, one) if tail else (one, other)
        end = place + 8 + size + (tail or size % 2)
        if end > whole + 1:
            raise ValueError("cut short")
        yield place, min(end, whole), name in DROPPED_CHUNKS
        place = end


def _webp_head(data: bytes) -> bytes:
    """The file with its new length, and flags that tell what is in it."""
    whole = bytearray(data)
    struct.pack_into("<I", whole, 4, len(whole) - 8)
    if whole[12:16] == b"VP8X":
        whole[20] &= ~EXIF_AND_XMP & 0xFF
    return bytes(whole)


def _upright(data: bytes) -> bytes | None:
    """The picture turned as its EXIF says, in its own format; None when it stands upright."""
    from PIL import ImageOps

    try:
        with open_image(data) as image:
            if orientation(image) == 1:
                return None
            more: dict[str, Any] = {} if image.format == "PNG" else {"quality": 95}
            file = io.BytesIO()
            clean = ImageOps.exif_transpose(image)
            clean.save(file, image.format, exif=b"", **more)
            return file.getvalue()
    except DataError:  # what can't be decoded is for its reader to tell
        return None
