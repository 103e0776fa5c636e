"""JPEG, PNG and WebP files taken apart: what of them makes the image, and nothing else.

Each function goes through a file to its end, by a list of what is kept. It raises `ValueError` for
whatever it does not understand, so that nothing is passed on unseen.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

Parts = Iterator[bytes | memoryview]

JPEG, PNG, RIFF = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF"
MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
"""Any number of 0xFF may stand before a marker's name."""
AFTER_SCAN = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""The first marker that does not belong to a scan."""
SCAN, END, APP0, ICC, ADOBE = 0xDA, 0xD9, 0xE0, 0xE2, 0xEE
PACKED = 0
"""Represents the packed pixels behind the head of a scan."""
SEGMENTS = {*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDD} - {0xC8}
"""Of JPEG: frames, tables and scans."""
DROPPED = {*range(0xE0, 0xF0), 0xFE}
"""Of JPEG: what applications add, and comments."""
ICC_NAME, ICC_SIZE = b"ICC_PROFILE\0", 65_519
CHUNKS = {
    **{b"IDAT": None, b"IHDR": 13, b"PLTE": {3: 768}, b"tRNS": {0: 2, 2: 6, 3: 256}, b"IEND": 0},
    **{b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4, b"pHYs": 9},
    b"sBIT": {0: 1, 2: 3, 3: 3, 4: 2, 6: 4},
    b"bKGD": {0: 2, 2: 6, 3: 1, 4: 2, 6: 6},
}
"""Of PNG: what makes the image, and how long it may be, by the kind of its colours."""
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Kind of a PNG's colours -> numbers a pixel."""
PASSES = (
    (0, 8, 0, 8),
    (4, 8, 0, 8),
    (0, 4, 4, 8),
    (2, 4, 0, 4),
    (0, 2, 2, 4),
    (1, 2, 0, 2),
    (0, 1, 1, 2),
)
"""Of an interlaced PNG: first column, step, first row, step."""
ENDING = 8
"""Bytes at the end of packed pixels that are never all the same for the image."""
PROFILE_NAME = b"ICC Profile\0\0"
"""The name and the kind of compression before a PNG's profile; others may write anything there."""
UNPACKED = 1 << 20
"""Bytes of pixels in memory at a time."""
WEBP_IMAGES = (b"VP8 ", b"VP8L", b"ALPH")
HAS_PROFILE, ANIMATED, EXIF_OR_XMP = 0x20, 0x02, 0x0C
"""Flags of an extended WebP file."""


def kept_parts(data: memoryview, profile: bytes | None, *, unpack: bool = False) -> Parts:
    """The parts of a file that make its image, with its ICC profile.

    Args:
        data: The file.
        profile: The profile that it holds, as it is to stand; None drops it.
        unpack: Also look for what stands behind the packed pixels of a PNG, which takes time.
    """
    head = bytes(data[:12])
    if head.startswith(JPEG):
        return _jpeg(data, profile)
    if head.startswith(PNG):
        return _png(data, profile, unpack)
    if head.startswith(RIFF) and head[8:] == b"WEBP":
        return _webp(data, profile)
    raise ValueError("not a supported format")


def altered(data: bytes) -> Iterator[bytes]:
    """A file of which `kept_parts` keeps all, each time without the end of other packed pixels.

    Where the packed pixels end with them, each is a damaged image, or another one. What a JPEG
    lacks would be made up, and look the same in a plain corner, so there it is another end.
    """
    if data.startswith(JPEG):
        parts = list(_segments(memoryview(data)))
        for (_, _, head), (kind, start, end) in pairwise(parts):
            # the last bit of each square's mean may make no difference
            refined = data[head - 3 : head - 1] == b"\0\0" and data[head - 1] > 0x0F
            if kind == PACKED and end - start > ENDING and not refined:
                last = bytes(min(byte ^ 0x55, 0xFE) for byte in data[end - ENDING : end])
                yield data[: end - ENDING] + last + data[end:]
    elif data.startswith(RIFF):
        chunks = list(_chunks(memoryview(data)))
        for at, (name, content) in enumerate(chunks):
            if name in WEBP_IMAGES and len(content) > ENDING:
                yield b"".join(_riff([*chunks[:at], (name, content[:-ENDING]), *chunks[at + 1 :]]))


def _jpeg(data: memoryview, profile: bytes | None) -> Parts:
    yield data[:2]
    for kind, start, end in _segments(data):
        content = data[start + 4 : end]
        if kind in SEGMENTS | {PACKED, END}:
            yield data[start:end]
        elif kind == APP0 and bytes(content[:5]) == b"JFIF\0" and len(content) >= 14:
            yield b"\xff\xe0\0\x10" + bytes(content[:12]) + b"\0\0"  # a small image may follow
        elif kind == ADOBE and bytes(content[:5]) == b"Adobe" and len(content) >= 12:
            yield b"\xff\xee\0\x0e" + bytes(content[:12])
        elif kind == ICC and bytes(content[:12]) == ICC_NAME and profile:
            yield from _profile_segments(profile)
            profile = None


def _segments(data: memoryview) -> Iterator[tuple[int, int, int]]:
    """Kind, start and end of each part of a JPEG up to its end; more may follow."""
    start = 2
    while match := MARKER.match(data, start):
        head, kind = match.end() - 2, data[match.end() - 1]
        if kind == END:
            yield kind, head, head + 2
            return
        end = head + 2 + struct.unpack_from(">H", data, head + 2)[0]
        if head + 4 > end or end > len(data) or kind not in SEGMENTS | DROPPED:
            raise ValueError("no segment")
        yield kind, head, end
        start = end
        if kind == SCAN:
            following = AFTER_SCAN.search(data, start)
            if not following:
                break
            yield PACKED, start, following.start()
            start = following.start()
    raise ValueError("the end of the image is missing")


def _profile_segments(profile: bytes) -> Parts:
    count = -(-len(profile) // ICC_SIZE)
    for number in range(count):
        content = ICC_NAME + bytes([number + 1, count])
        content += profile[number * ICC_SIZE : (number + 1) * ICC_SIZE]
        yield struct.pack(">HH", 0xFF00 + ICC, len(content) + 2) + content


def _png(data: memoryview, profile: bytes | None, unpack: bool) -> Parts:
    yield data[:8]
    start, seen, pixels = 8, set[bytes](), list[memoryview]()
    while start < len(data):
        size, name = struct.unpack_from(">I4s", data, start)
        content, end = data[start + 8 : start + 8 + size], start + 12 + size
        if end > len(data):
            raise ValueError("truncated")
        if name in CHUNKS:
            longest: Any = CHUNKS[name]
            if isinstance(longest, dict):
                longest = longest.get(data[25], 0)
            if longest is not None and (size > longest or name in seen):
                raise ValueError("a chunk is too long or duplicated")
            seen.add(name)
            pixels += [content] * (name == b"IDAT")
            yield data[start:end]
        elif name == b"iCCP" and profile:
            packed = _unchanged(content, profile) or PROFILE_NAME + zlib.compress(profile)
            yield struct.pack(">I", len(packed)) + name + packed
            yield struct.pack(">I", zlib.crc32(packed, zlib.crc32(name)))
            profile = None
        if name == b"IEND":
            if unpack:
                _check_end(pixels, _unpacked_size(data))
            return
        start = end
    raise ValueError("the end of the image is missing")


def _check_end(pixels: Iterable[memoryview], size: int) -> None:
    """Raise `ValueError` where more than packed pixels stands in these chunks, or less."""
    stream = zlib.decompressobj()
    for chunk in pixels:
        rest: bytes | memoryview = chunk
        if stream.eof and rest:
            raise ValueError("more than pixels")
        while rest:
            size -= len(stream.decompress(rest, UNPACKED))
            rest = stream.unconsumed_tail
    size -= len(stream.flush())
    if size or not stream.eof or stream.unused_data:
        raise ValueError("more than pixels, or less")


def _unpacked_size(data: memoryview) -> int:
    """Bytes of a PNG's rows, each with the one that names its filter."""
    width, height, depth, kind, interlaced = struct.unpack_from(">IIBB2xB", data, 16)
    size = 0
    for x, across, y, down in PASSES if interlaced else ((0, 1, 0, 1),):
        columns, rows = -(-max(0, width - x) // across), -(-max(0, height - y) // down)
        size += rows * (1 + -(-columns * depth * CHANNELS[kind] // 8)) * bool(columns)
    return size


def _unchanged(content: memoryview, profile: bytes) -> bytes | None:
    """A profile's chunk, where it holds nothing else."""
    unpack = zlib.decompressobj()
    try:
        same = unpack.decompress(content[len(PROFILE_NAME) :], len(profile) + 1) == profile
    except zlib.error:
        return None
    whole = same and unpack.eof and not unpack.unused_data
    return bytes(content) if whole and content[: len(PROFILE_NAME)] == PROFILE_NAME else None


def _webp(data: memoryview, profile: bytes | None) -> Parts:
    kept, flags = list[tuple[bytes, bytes | memoryview]](), 0
    for name, content in _chunks(data):
        if name == b"VP8X" and len(content) == 10:
            flags = content[0]
            mask = flags & ~EXIF_OR_XMP & (0xFF if profile else ~HAS_PROFILE)
            kept.append((name, bytes([mask]) + bytes(content[1:])))
        elif name == b"ICCP" and profile:
            kept.append((name, profile))
        elif name in WEBP_IMAGES:
            kept.append((name, content))
    if flags & ANIMATED or not {b"VP8 ", b"VP8L"} & {name for name, _ in kept}:
        raise ValueError("no single image")
    yield from _riff(kept)


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Name and content of each chunk of a WebP file; more may follow."""
    length, start, seen = 8 + struct.unpack_from("<I", data, 4)[0], 12, set[bytes]()
    if length > len(data):
        raise ValueError("truncated")
    while start < length:
        name, size = struct.unpack_from("<4sI", data, start)
        if start + 8 + size > length or name in seen:
            raise ValueError("a chunk is truncated or duplicated")
        seen.add(name)
        yield name, data[start + 8 : start + 8 + size]
        start += 8 + size + size % 2


def _riff(chunks: Sequence[tuple[bytes, bytes | memoryview]]) -> Parts:
    total = sum(8 + len(content) + len(content) % 2 for _, content in chunks)
    yield struct.pack("<4sI4s", RIFF, 4 + total, b"WEBP")
    for name, chunk in chunks:
        yield struct.pack("<4sI", name, len(chunk))
        yield chunk
        yield b"\0" * (len(chunk) % 2)
