"""The one door through which images of others come in: what is read, how large, and how.

The whole product reads an image by one rule, which is what a viewer shows on a white page:

- **Formats**: those of `SUFFIXES`, up to the sizes below. Others are refused, for Pillow reads some
  by starting other programs.
- **Pixels**: all of them, or none: a truncated file is refused.
- **Animations, several pages**: the first image.
- **Way up**: as EXIF in the file's head says, if it can be read.
- **Colours**: sRGB. An embedded ICC profile is applied by LittleCMS (perceptual intent); one that
  is broken or meant for other channels is ignored, and so are PNG's gAMA, cHRM and sRGB chunks.
  Without a profile, RGB and grey are sRGB, and CMYK goes by Pillow's plain formula. A PNG whose
  cICP chunk names other colours, such as those of HDR, is refused.
- **Depth**: eight bits a channel. Grey of 16 bits is v/257, rounded; colours of 16 bits give their
  upper byte. Grey of 32 bits is v/257 for whole numbers up to 65,535, and v * 255 for fractions
  between 0 and 1; other values, and eight bits with a sign, have no agreed white and are refused.
- **Transparency**: laid on white, and so is a GIF that covers a part of its page.

An image of eight bits without profile and transparency is passed on bit for bit.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from invdpo.schemas.errors import DataError
from invdpo.schemas.io.colours import COVERED, is_plain, to_srgb

if TYPE_CHECKING:
    from PIL import Image

Size = tuple[int, int]
"""(width, height) in pixels."""

SUFFIXES = {
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
"""What is read, and the endings of its files; the first is the one that we write."""
FORMATS = tuple(SUFFIXES)
IMAGE_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
UNREAD_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("avif", "avifs", "dib", "exr", "heic", "heif", "j2k", "jp2", "jpx", "jxl"),
        *("pbm", "pgm", "pnm", "ppm", "psd", "qoi", "svg", "tga"),
    )
)
"""Endings of images that are not read. They are fetched from the Hub only to be counted."""
MAX_PIXELS = 64_000_000
"""An image with more is refused before it is unpacked: it would fill the memory."""
MAX_SIDE = 32_768
"""Anything wider or higher is no image, however few pixels it has."""
ORIENTATION = 0x0112
"""EXIF's tag: 1 is upright, 2 to 4 are mirrored or upside down, 5 to 8 are turned on a side."""
PNG = b"\x89PNG\r\n\x1a\n"
SAMPLES, SIGNED = 339, 2
"""A tag of TIFF: how its numbers are meant, and a value of it."""
SRGB_CODES = (b"\x01\x01\0\x01", b"\x01\x0d\0\x01")
"""Primaries of sRGB in cICP, with the transfer of video (BT.709) or of sRGB, in full range."""
VIEWED_ALIKE = ("JPEG", "PNG", "WEBP")
"""Formats that browsers and other programs read too."""


def decode(content: bytes | None) -> Image.Image:
    """The image as RGB by the rule above. Raises `DataError` with the reason."""
    with open_image(content) as image:
        return to_srgb(upright(image))


def shown_size(content: bytes) -> Size:
    """Width and height as shown, from the header alone. Raises `DataError` when there is none."""
    with open_image(content) as image:
        # Pillow has the sides of a turned TIFF exchanged already
        turned = image.format != "TIFF" and orientation(image) >= 5
        return (image.height, image.width) if turned else image.size


def reading(content: bytes) -> int:
    """The rule that decides an image's colours: 2, or 1 where the first one came to the same.

    The first rule knew no profiles, no transparency, and eight bits only.
    """
    with open_image(content) as image:
        return 1 if is_plain(image) else 2


def image_suffix(content: bytes) -> str | None:
    """`png` and the like, by an image's header; None for what is no image, or too large."""
    try:
        with open_image(content) as image:
            return SUFFIXES[format_of(image)][0][1:]
    except DataError:
        return None


def viewed_alike(content: bytes) -> str | None:
    """`png`, `jpeg` or `webp` where any program shows an image as `decode` does, else None.

    Raises `DataError` for what is no image; its pixels are not read.
    """
    with open_image(content) as image:
        single = getattr(image, "n_frames", 1) == 1 and orientation(image) == 1
        alike = single and image.format in VIEWED_ALIKE and image.mode in ("L", "RGB")
        return str(image.format).lower() if alike and is_plain(image) else None


@contextmanager
def open_image(content: bytes | memoryview | None) -> Iterator[Image.Image]:
    """An image whose pixels are not read yet, as Pillow opens it: neither turned nor converted.

    Raises `DataError` for what is no image of `FORMATS`, or too large; also for what Pillow
    raises while the block reads its pixels.
    """
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise DataError("image can't be decoded: no bytes")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images; `check_size` is stricter and refuses them
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            # `BytesIO` shares bytes and copies a view, which takes longer than reading the header
            file = io.BytesIO(content) if isinstance(content, bytes) else pa.BufferReader(content)
            with Image.open(file, formats=FORMATS) as image:
                check_size(image.width, image.height)
                _complete(image, content)
                yield image
    except (DataError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise DataError("image can't be decoded: not a known image format") from None
    except Image.DecompressionBombError:
        raise DataError(f"image can't be decoded: over {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # noqa: BLE001 - a damaged file makes Pillow raise any kind
        raise DataError(f"image can't be decoded: {error}") from None


def format_of(image: Image.Image) -> str:
    """The one of `FORMATS`; a JPEG with more images behind it is `MPO` to Pillow."""
    return "JPEG" if image.format == "MPO" else str(image.format)


def upright(image: Image.Image) -> Image.Image:
    """The image turned as EXIF says, its pixels read."""
    from PIL import ImageOps

    if orientation(image) == 1 or image.format == "TIFF":
        image.load()  # which turns a TIFF
        return image
    return ImageOps.exif_transpose(image)


def orientation(image: Image.Image) -> int:
    """How the image is to be turned, by the EXIF data in its header: 1 to 8, 1 if it is upright.

    A PNG may bring more EXIF data behind its pixels. The class of PNGs would decode them all to
    look there, so the method of its base is called; what it finds is kept by the image and is
    what `ImageOps.exif_transpose` goes by. So size and pixels always agree.
    """
    from PIL import Image

    try:
        value = Image.Image.getexif(image).get(ORIENTATION, 1)
    except (SyntaxError, struct.error):  # broken EXIF data turn nothing
        return 1
    return value if value in range(1, 9) else 1


def check_size(width: int, height: int) -> None:
    """Raises `DataError` for an image of absurd size."""
    if max(width, height) > MAX_SIDE:
        text = f"image can't be decoded: {width}x{height} has a side over {MAX_SIDE:,} pixels"
        raise DataError(text)
    if width * height > MAX_PIXELS:
        text = f"image can't be decoded: {width}x{height} is over {MAX_PIXELS:,} pixels"
        raise DataError(text)


def _complete(image: Image.Image, content: bytes | memoryview) -> None:
    """Adds what Pillow leaves out of `info`, and mends what it gets wrong there."""
    if image.format == "BMP" and content[14:18] == b"\x7c\0\0\0" and content[70:74] == b"DEBM":
        start, size = struct.unpack_from("<II", content, 14 + 112)
        image.info["icc_profile"] = content[14 + start : 14 + start + size]
    tiles, tags = getattr(image, "tile", ()), getattr(image, "tag_v2", {})
    if image.format == "GIF" and tiles and tiles[0][1] != (0, 0, *image.size):
        image.info[COVERED] = tiles[0][1]
    if (
        SIGNED in tags.get(SAMPLES, ()) and image.mode[0] not in "IF"
    ):  # of wider ones, Pillow gives the sign
        text = "signed whole numbers of 8 bits; save it without signs"
        raise DataError(f"image can't be decoded: {text}")
    if image.format != "PNG":
        return
    if (code := _colour_code(content)) is not None and code not in SRGB_CODES:
        text = f"colours of cICP {', '.join(map(str, code))}; only sRGB's of full range are read"
        raise DataError(f"image can't be decoded: {text}")
    key = image.info.get("transparency")
    if isinstance(key, bytes | None) or not tiles:
        return
    stored = tiles[0][3]  # as Pillow names the bits of the file, such as `RGB;16B`
    if stored in ("L;2", "L;4"):
        image.info["transparency"] = key * (85 if stored == "L;2" else 17)
    elif isinstance(key, tuple) and stored == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in key)


def _colour_code(content: bytes | memoryview) -> bytes | None:
    """What a PNG's cICP chunk before its pixels says: primaries, transfer, matrix, full range."""
    start = len(PNG)
    while start + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, start)
        if name == b"cICP":
            return bytes(content[start + 8 : start + 8 + min(size, 4)])
        if name == b"IDAT":
            break
        start += 12 + size  # length, name and checksum
    return None
