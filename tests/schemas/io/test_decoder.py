"""Every image has the colours that a viewer shows: against ImageCms, or in closed form."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from invdpo.schemas import DataError
from invdpo.schemas.io import images
from invdpo.schemas.io.images import (
    FORMATS,
    IMAGE_SUFFIXES,
    ORIENTATION,
    UNREAD_SUFFIXES,
    decode,
    image_suffix,
    shown_size,
    viewed_alike,
)
from tests.schemas.io import icc

ROOT = Path(__file__).parents[3]
NOISE = np.random.default_rng(0).integers(0, 256, (16, 24, 4), dtype=np.uint8)
RGB, GREY, ALPHA = NOISE[..., :3], NOISE[..., 0], NOISE[..., 3:]
WIDE = np.linspace(0, 65_535, 96).astype(np.uint16).reshape(8, 12)
Pixels = Any


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def raw_png(
    bits: int, kind: int, rows: list[bytes], width: int, *chunks: tuple[bytes, bytes]
) -> bytes:
    """A PNG in a form that Pillow does not write."""
    head = struct.pack(">IIBBBBB", width, len(rows), bits, kind, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    every = [(b"IHDR", head), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in every
    )


def managed(image: Image.Image, profile: bytes) -> Pixels:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    srgb = ImageCms.createProfile("sRGB")
    return np.asarray(ImageCms.profileToProfile(image, source, srgb, outputMode="RGB"))


def on_white(colours: Pixels, alpha: Pixels) -> Pixels:
    return (colours * (alpha / 255) + 255 * (1 - alpha / 255)).round()


def equal_channels(grey: Pixels) -> Pixels:
    return np.repeat(np.asarray(grey)[..., None], 3, -1)


def profiled(kind: str, mode: str, profile: bytes, **options: Any) -> tuple[bytes, Pixels]:
    image = Image.fromarray(NOISE, "RGBA").convert("CMYK" if mode == "CMYK" else mode)
    data = saved(image, kind, icc_profile=profile, **options)
    return data, managed(Image.open(io.BytesIO(data)).convert(mode), profile)


def wide(kind: str, pixels: Pixels = WIDE, **options: Any) -> tuple[bytes, Pixels]:
    return saved(Image.fromarray(pixels), kind, **options), equal_channels(WIDE / 257)


def palette() -> tuple[bytes, Pixels]:
    image = Image.fromarray(NOISE[:1, :4, 0] % 4, "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    colours = np.asarray(image.convert("RGB"))
    alpha = np.array([0, 128, 255, 255])[np.asarray(image)][..., None]
    return saved(image, "PNG", transparency=bytes([0, 128])), on_white(colours, alpha)


def transparent_grey() -> tuple[bytes, Pixels]:
    data = raw_png(2, 0, [bytes([0b00_01_10_11])], 4, (b"tRNS", b"\0\2"))
    return data, equal_channels([[0, 85, 255, 255]])


def transparent_wide_grey() -> tuple[bytes, Pixels]:
    data = raw_png(16, 0, [struct.pack(">3H", 1000, 1001, 65_535)], 3, (b"tRNS", b"\3\xe8"))
    return data, equal_channels([[255, 1001 / 257, 255]])


def transparent_wide_colour() -> tuple[bytes, Pixels]:
    rows = [struct.pack(">6H", 0x1234, 0x5678, 0x9ABC, 0x3412, 0x7856, 0xBC9A)]
    data = raw_png(16, 2, rows, 2, (b"tRNS", rows[0][:6]))
    return data, [[[255] * 3, [0x34, 0x78, 0xBC]]]


def animation(kind: str) -> tuple[bytes, Pixels]:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    return data, np.full((8, 8, 3), (254 if kind == "MPO" else 255, 0, 0))


def bmp_with_profile() -> tuple[bytes, Pixels]:
    profile, image = icc.display_p3(), Image.fromarray(RGB)
    rows = np.ascontiguousarray(RGB[::-1, :, ::-1]).tobytes()
    head = struct.pack("<IiiHHIIiiII", 124, 24, 16, 1, 24, 0, len(rows), 0, 0, 0, 0)
    head += (
        bytes(16) + b"DEBM" + bytes(48) + struct.pack("<4I", 4, 124 + len(rows), len(profile), 0)
    )
    data = struct.pack("<2sIHHI", b"BM", 138 + len(rows + profile), 0, 0, 138)
    return data + head + rows + profile, managed(image, profile)


def gif_on_a_larger_page() -> tuple[bytes, Pixels]:
    data = saved(Image.new("RGB", (4, 2), "red"), "GIF")
    return data[:6] + struct.pack("<2H", 6, 3) + data[10:], np.pad(
        np.full((2, 4, 3), (255, 0, 0)), ((0, 1), (0, 2), (0, 0)), constant_values=255
    )


P3, LINEAR = icc.display_p3(), icc.grey()
CHUNKS = ((b"gAMA", struct.pack(">I", 100_000)), (b"cHRM", bytes(32)), (b"sRGB", b"\0"))
CASES: dict[str, Callable[[], tuple[bytes, Pixels]]] = {
    "16-bit PNG": lambda: wide("PNG"),
    "16-bit TIFF": lambda: wide("TIFF"),
    "16-bit TIFF, Motorola": lambda: (
        saved(Image.frombytes("I;16B", (12, 8), WIDE.astype(">u2").tobytes()), "TIFF"),
        equal_channels(WIDE / 257),
    ),
    "16-bit TIFF, turned": lambda: (
        saved(Image.fromarray(WIDE), "TIFF", exif=exif_of(6)),
        equal_channels(np.rot90(WIDE, -1) / 257),
    ),
    "16-bit TIFF, white is zero": lambda: (
        saved(Image.fromarray(WIDE), "TIFF", tiffinfo={262: 0}),
        equal_channels(255 - WIDE / 257),
    ),
    "32-bit TIFF": lambda: wide("TIFF", WIDE.astype(np.int32)),
    "fractions": lambda: wide("TIFF", (WIDE / 65_535).astype(np.float32)),
    "16-bit colours": lambda: (
        raw_png(16, 2, [WIDE[:, :3].astype(">u2").tobytes()], 8),
        (WIDE[:, :3] / 257)[None],
    ),
    "Display P3 PNG": lambda: profiled("PNG", "RGB", P3),
    "Display P3 JPEG": lambda: profiled("JPEG", "RGB", P3),
    "Display P3 WebP": lambda: profiled("WEBP", "RGB", P3, lossless=True),
    "Display P3 TIFF": lambda: profiled("TIFF", "RGB", P3),
    "Display P3 BMP": bmp_with_profile,
    "grey by a profile": lambda: profiled("PNG", "L", LINEAR),
    "CMYK by a profile": lambda: profiled("TIFF", "CMYK", icc.cmyk()),
    "CMYK JPEG by a profile": lambda: profiled("JPEG", "CMYK", icc.cmyk()),
    "CMYK": lambda: (
        saved(Image.fromarray(NOISE, "CMYK"), "TIFF"),
        np.asarray(Image.fromarray(NOISE, "CMYK").convert("RGB")),
    ),
    "grey by a profile for RGB": lambda: (
        saved(Image.fromarray(GREY), "PNG", icc_profile=icc.display_p3(1.0)),
        managed(Image.fromarray(GREY).convert("RGB"), icc.display_p3(1.0)),
    ),
    "RGB with a profile for grey": lambda: (
        saved(Image.fromarray(RGB), "PNG", icc_profile=LINEAR),
        RGB,
    ),
    "a broken profile": lambda: (
        saved(Image.fromarray(RGB), "PNG", icc_profile=b"no profile" * 20),
        RGB,
    ),
    "a profile cut short": lambda: (
        saved(Image.fromarray(RGB), "PNG", icc_profile=P3[:200]),
        RGB,
    ),
    "gAMA, cHRM, sRGB": lambda: (
        raw_png(8, 2, [row.tobytes() for row in RGB], 24, *CHUNKS),
        RGB,
    ),
    "alpha": lambda: (saved(Image.fromarray(NOISE), "PNG"), on_white(RGB, ALPHA)),
    "alpha in TIFF": lambda: (saved(Image.fromarray(NOISE), "TIFF"), on_white(RGB, ALPHA)),
    "alpha and Display P3": lambda: (
        saved(Image.fromarray(NOISE), "PNG", icc_profile=P3),
        on_white(managed(Image.fromarray(RGB), P3), ALPHA),
    ),
    "grey with alpha": lambda: (
        saved(Image.fromarray(NOISE[..., 2:], "LA"), "PNG"),
        on_white(NOISE[..., 2:3].repeat(3, -1), ALPHA),
    ),
    "a palette with alpha": palette,
    "one transparent grey": transparent_grey,
    "one transparent grey of 16 bits": transparent_wide_grey,
    "one transparent colour of 16 bits": transparent_wide_colour,
    "a GIF on a larger page": gif_on_a_larger_page,
    "animated GIF": lambda: animation("GIF"),
    "animated PNG": lambda: animation("PNG"),
    "animated WebP": lambda: animation("WEBP"),
    "pages of a TIFF": lambda: animation("TIFF"),
    "images of an MPO": lambda: animation("MPO"),
}


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


@pytest.mark.parametrize("name", CASES)
def test_colours_are_those_that_a_viewer_shows(name: str) -> None:
    content, expected = CASES[name]()
    image = decode(content)
    assert image.mode == "RGB"
    assert not image.info
    assert np.asarray(image).shape == np.shape(expected)
    assert np.abs(np.asarray(image) - np.asarray(expected, np.float64)).max() <= 1
    assert shown_size(content) == image.size


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "YCbCr", "CMYK", "LAB"])
def test_what_is_plain_passes_bit_for_bit(mode: str) -> None:
    image = Image.fromarray(RGB).convert("RGB" if mode == "LAB" else mode)
    if mode == "LAB":
        image = Image.merge("LAB", image.split())
    content = saved(image, "TIFF")
    expected = Image.open(io.BytesIO(content)).convert("RGB")
    assert (np.asarray(decode(content)) == np.asarray(expected)).all()


def code(*values: int, comment: bytes = b"") -> bytes:
    chunks = [(b"cICP", bytes(values))] * bool(values)
    return raw_png(8, 2, [bytes(3)], 1, (b"tEXt", b"Comment\0" + comment), *chunks)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (saved(Image.fromarray(np.full((4, 4), 70_000, np.int32)), "TIFF"), "from 70000 to 70000"),
        (saved(Image.fromarray(np.full((4, 4), -1, np.int32)), "TIFF"), "from -1 to -1"),
        (saved(Image.fromarray(np.full((4, 4), 200, np.float32)), "TIFF"), "allowed are 0 to 1$"),
        (saved(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF"), "from nan"),
        (saved(Image.fromarray(GREY), "TIFF", tiffinfo={339: 2}), "signed whole numbers of 8 bits"),
        (code(9, 16, 0, 1), "cICP 9, 16"),
        (code(9, 16, 0, 1, comment=b"IDAT"), "cICP 9, 16"),
        (code(1, 13, 0, 0), "cICP 1, 13, 0, 0; only sRGB's of full range"),
    ],
)
def test_what_has_no_agreed_scale_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=rf"image can't be decoded: .*{words}"):
        decode(content)


def test_the_code_of_srgb_is_read() -> None:
    assert decode(code(1, 13, 0, 1)).getpixel((0, 0)) == (0, 0, 0)
    assert decode(code(comment=b"about cICP chunks")).getpixel((0, 0)) == (0, 0, 0)


def test_endings_are_those_that_pillow_knows_for_the_formats() -> None:
    known = {s for s, kind in Image.registered_extensions().items() if kind in (*FORMATS, "MPO")}
    assert known == IMAGE_SUFFIXES
    assert not IMAGE_SUFFIXES & UNREAD_SUFFIXES
    kinds = {kind: image_suffix(saved(Image.fromarray(RGB), kind)) for kind in (*FORMATS, "MPO")}
    assert kinds == {
        "BMP": "bmp",
        "GIF": "gif",
        "JPEG": "jpg",
        "MPO": "jpg",
        "PNG": "png",
        "TIFF": "tif",
        "WEBP": "webp",
    }


def test_which_pictures_any_program_shows_alike() -> None:
    plain = Image.fromarray(RGB)
    for kind in ("PNG", "JPEG", "WEBP"):
        assert viewed_alike(saved(plain, kind)) == kind.lower()
        assert viewed_alike(saved(plain, kind, exif=exif_of(6))) is None
        assert viewed_alike(saved(plain, kind, icc_profile=P3)) is None
    others = ("BMP", "GIF", "TIFF")
    assert not any(viewed_alike(saved(plain, kind)) for kind in others)
    assert not any(viewed_alike(animation(kind)[0]) for kind in ("PNG", "WEBP", "MPO"))
    assert viewed_alike(saved(Image.fromarray(NOISE), "PNG")) is None


def test_nothing_else_opens_pictures() -> None:
    """Formats and limits hold because there is one place that calls Pillow."""
    rooms = ("curate", "data_cards", "invdpo", "schemas", "train")
    files = {path.resolve() for room in rooms for path in (ROOT / room).rglob("*.py")}
    opening = [path for path in files if "Image.open(" in path.read_text(encoding="utf-8")]
    assert opening == [Path(images.__file__).resolve()]
