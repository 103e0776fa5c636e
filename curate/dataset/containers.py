"""JPEG, PNG and WebP files taken apart: what of them makes the picture, and nothing else.

Each function goes through a file to its end, by a list of what is kept. It raises `ValueError` for
whatever it does not understand, so that nothing is passed on unseen.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator

Parts = Iterator[bytes | memoryview]

JPEG, PNG, RIFF = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF"
MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
"""Any number of 0xFF may stand before a marker's name."""
AFTER_SCAN = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""The first marker that does not belong to a scan."""
SCAN, END, APP0, ICC, ADOBE = 0xDA, 0xD9, 0xE0, 0xE2, 0xEE
SEGMENTS = {*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDC, 0xDD} - {0xC8}
"""Of JPEG: frames, tables, scans and the number of lines."""
DROPPED = {*range(0xE0, 0xF0), 0xFE}
"""Of JPEG: what applications add, and comments."""
ICC_NAME, ICC_SIZE = b"ICC_PROFILE\0", 65_519
CHUNKS = {
    **{b"IDAT": None, b"IHDR": 13, b"PLTE": 768, b"tRNS": 256, b"IEND": 0},
    **{b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4, b"sBIT": 4, b"bKGD": 6, b"pHYs": 9},
}
"""Of PNG: what makes the picture, and how long it may be."""
PROFILE_NAME = b"ICC Profile\0\0"
"""The name and the kind of compression before a PNG's profile; others may write anything there."""
UNPACKED = 1 << 20
"""Bytes of pixels in memory at a time."""
WEBP_IMAGES = (b"VP8 ", b"VP8L", b"ALPH")
HAS_PROFILE, ANIMATED, EXIF_OR_XMP = 0x20, 0x02, 0x0C
"""Flags of an extended WebP file."""


def kept_parts(data: memoryview, profile: bytes | None, *, unpack: bool = False) -> Parts:
    """The parts of a file that make its picture, with its ICC profile.

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
    raise ValueError("no format that is taken apart")


def _jpeg(data: memoryview, profile: bytes | None) -> Parts:
    yield data[:2]
    start = 2
    while match := MARKER.match(data, start):
        head, kind = match.end() - 2, data[match.end() - 1]
        if kind == END:
            yield data[head : head + 2]
            return  # more pictures, films or anything may follow
        end = head + 2 + struct.unpack_from(">H", data, head + 2)[0]
        content = data[head + 4 : end]
        if head + 4 > end or end > len(data) or kind not in SEGMENTS | DROPPED:
            raise ValueError("no segment")
        if kind in SEGMENTS:
            yield data[head:end]
        elif kind == APP0 and bytes(content[:5]) == b"JFIF\0" and len(content) >= 14:
            yield b"\xff\xe0\0\x10" + bytes(content[:12]) + b"\0\0"  # a small picture may follow
        elif kind == ADOBE and bytes(content[:5]) == b"Adobe" and len(content) >= 12:
            yield b"\xff\xee\0\x0e" + bytes(content[:12])
        elif kind == ICC and bytes(content[:12]) == ICC_NAME and profile:
            yield from _profile_segments(profile)
            profile = None
        start = end
        if kind == SCAN:
            following = AFTER_SCAN.search(data, start)
            if not following:
                break
            yield data[start : following.start()]
            start = following.start()
    raise ValueError("no end of the picture")


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
            raise ValueError("cut short")
        if name in CHUNKS:
            longest = CHUNKS[name]
            if longest is not None and (size > longest or name in seen):
                raise ValueError("a chunk that is too long, or stands twice")
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
                _check_end(pixels)
            return
        start = end
    raise ValueError("no end of the picture")


def _check_end(pixels: Iterable[memoryview]) -> None:
    """Raise `ValueError` where more than packed pixels stands in these chunks, or less."""
    stream = zlib.decompressobj()
    for chunk in pixels:
        rest: bytes | memoryview = chunk
        if stream.eof and rest:
            raise ValueError("more than pixels")
        while rest:
            stream.decompress(rest, UNPACKED)
            rest = stream.unconsumed_tail
    stream.flush()
    if not stream.eof or stream.unused_data:
        raise ValueError("more than pixels, or less")


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
    length = 8 + struct.unpack_from("<I", data, 4)[0]
    if length > len(data):
        raise ValueError("cut short")
    chunks, flags, start = list[tuple[bytes, bytes | memoryview]](), 0, 12
    while start < length:
        name, size = struct.unpack_from("<4sI", data, start)
        content = data[start + 8 : start + 8 + size]
        if start + 8 + size > length or name in {n for n, _ in chunks}:
            raise ValueError("a chunk that is cut short, or stands twice")
        if name == b"VP8X" and size == 10:
            flags = content[0]
            kept = flags & ~EXIF_OR_XMP & (0xFF if profile else ~HAS_PROFILE)
            chunks.append((name, bytes([kept]) + bytes(content[1:])))
        elif name == b"ICCP" and profile:
            chunks.append((name, profile))
        elif name in WEBP_IMAGES:
            chunks.append((name, content))
        start += 8 + size + size % 2
    if flags & ANIMATED or not {b"VP8 ", b"VP8L"} & {name for name, _ in chunks}:
        raise ValueError("no single picture")
    total = sum(8 + len(content) + len(content) % 2 for _, content in chunks)
    yield struct.pack("<4sI4s", RIFF, 4 + total, b"WEBP")
    for name, chunk in chunks:
        yield struct.pack("<4sI", name, len(chunk))
        yield chunk
        yield b"\0" * (len(chunk) % 2)
