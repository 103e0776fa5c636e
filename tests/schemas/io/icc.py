"""ICC profiles made by hand: wide gamut, grey, and a small CMYK; each differs much from sRGB."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

P3 = ((0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1572, 0.0666, 0.7841))
"""Display P3's red, green and blue in XYZ under D50."""
WHITE = (0.9642, 1.0, 0.8249)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65_536))


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(value * 256), 0)


def _profile(space: bytes, connection: bytes, kind: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    text = b"text\0\0\0\0made by hand\0"
    name = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    named = {b"desc": name, b"cprt": text, b"wtpt": _xyz(WHITE)} | dict(tags)
    table, body = struct.pack(">I", len(named)), b""
    start = 128 + 4 + 12 * len(named)
    for key, value in named.items():
        table += key + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    size = start + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02400000, kind, space, connection)
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    head += b"".join(map(_fixed, WHITE)) + bytes(48)
    return head + table + body


def display_p3(gamma: float = 2.2, filler: bytes = b"") -> bytes:
    """RGB with P3's primaries."""
    tags = {
        name: _xyz(values) for name, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), P3, strict=True)
    }
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma(gamma))
    more = {b"fill": b"data\0\0\0\0" + filler} if filler else {}
    return _profile(b"RGB ", b"XYZ ", b"mntr", tags | more)


def grey(gamma: float = 1.0) -> bytes:
    """Grey that is linear in light."""
    return _profile(b"GRAY", b"XYZ ", b"mntr", {b"kTRC": _gamma(gamma)})


def cmyk() -> bytes:
    """Four inks whose overprints stand in a table of two points an ink, in Lab."""
    table = b""
    for number in range(16):
        inks = [number >> shift & 1 for shift in (3, 2, 1, 0)]
        lightness = 255 - 50 * sum(inks[:3]) - 90 * inks[3]
        table += bytes([lightness, 128 + 40 * (inks[1] - inks[0]), 128 + 50 * (inks[2] - inks[0])])
    ramp = bytes(range(256))
    identity = b"".join(_fixed(value) for value in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramp * 4 + table + ramp * 3
    return _profile(b"CMYK", b"Lab ", b"prtr", {b"A2B0": lut})
