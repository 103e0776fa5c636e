"""Removes what images carry beside their pixels: EXIF, XMP and comments.

Cameras write places and names there, and image tools prompts and paths. Pixels stay as they are,
to the byte, and so do colour profiles; only an image that EXIF says is turned is encoded anew,
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
"""Start and end of a piece of a file, and whether it is dropped."""

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
    """Whether `without_metadata` would change an image; no pixel is read."""
    return any(dropped for _, _, dropped in _chunks(data))


def without_metadata(data: bytes) -> bytes:
    """A JPEG, PNG or WebP file without them; other files, and damaged ones, as they are."""
    view = memoryview(data)
    chunks = _chunks(view)
    if not any(dropped for _, _, dropped in chunks):
        return data
    if (upright := _turn_upright(data)) is not None:
        return without_metadata(upright)
    kept = b"".join(view[start:end] for start, end, dropped in chunks if not dropped)
    return _fix_webp_header(kept) if data.startswith(RIFF) else kept


def _chunks(data: memoryview) -> list[Chunk]:
    """All of a file, piece by piece; nothing when its format is not known or it is damaged."""
    head = bytes(data[:12])
    try:
        if head.startswith(JPEG):
            return list(_jpeg_segments(data))
        if head.startswith(PNG):
            return list(_named_chunks(data, len(PNG), PNG_HEAD, 4))
        if head.startswith(RIFF) and head[8:] == b"WEBP":
            return list(_named_chunks(data, 12, WEBP_HEAD, 0))
    except (struct.error, IndexError, ValueError):
        pass
    return []


def _jpeg_segments(data: memoryview) -> Iterator[Chunk]:
    yield 0, 2, False
    start = 2
    while data[start + 1] != 0xDA:  # what follows the start of a scan is pixels
        if data[start] != 0xFF:
            raise ValueError("no marker")
        end = start + 2 + struct.unpack_from(">H", data, start + 2)[0]
        yield start, end, data[start + 1] in DROPPED_SEGMENTS
        start = end
    yield start, len(data), False


def _named_chunks(data: memoryview, start: int, head: struct.Struct, tail: int) -> Iterator[Chunk]:
    """Chunks that begin with a name and a length (`head`) and end with `tail` bytes more."""
    yield 0, start, False
    length = len(data)
    while start < length:
        first, second = head.unpack_from(data, start)
        name, size = (second, first) if tail else (first, second)
        end = start + 8 + size + (tail or size % 2)
        if end > length + 1:
            raise ValueError("cut short")
        yield start, min(end, length), name in DROPPED_CHUNKS
        start = end


def _fix_webp_header(data: bytes) -> bytes:
    """The file with its new length, and without the flags of what was dropped."""
    content = bytearray(data)
    struct.pack_into("<I", content, 4, len(content) - 8)
    if content[12:16] == b"VP8X":
        content[20] &= ~EXIF_AND_XMP & 0xFF
    return bytes(content)


def _turn_upright(data: bytes) -> bytes | None:
    """The image turned as its EXIF says, in its own format; None when it is upright."""
    from PIL import ImageOps

    try:
        with open_image(data) as image:
            if orientation(image) == 1:
                return None
            options: dict[str, Any] = {} if image.format == "PNG" else {"quality": 95}
            file = io.BytesIO()
            upright = ImageOps.exif_transpose(image)
            upright.save(file, image.format, exif=b"", **options)
            return file.getvalue()
    except DataError:  # what can't be decoded is for its reader to tell
        return None
