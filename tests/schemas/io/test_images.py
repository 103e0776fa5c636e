"""Which images are read and which way up; nothing but `DataError` comes of bad ones."""

from __future__ import annotations

import io
import random
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, PngImagePlugin

from invdpo.schemas import DataError
from invdpo.schemas.io.images import FORMATS, ORIENTATION, decode, shown_size

NOISE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)

CORNERS = {
    1: "tl",
    2: "tr",
    3: "br",
    4: "bl",
    5: "tl",
    6: "bl",
    7: "br",
    8: "tr",
}
"""Orientation to the corner of the stored pixels that is shown at the top left, by EXIF's table."""
PLACES = {"tl": (0, 0), "tr": (-1, 0), "bl": (0, -1), "br": (-1, -1)}


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def picture(kind: str, orientation: int, corner: str = "tl") -> bytes:
    """24 x 16 in black with one white block of 8 pixels in a corner."""
    pixels = np.zeros((16, 24, 3), dtype=np.uint8)
    x, y = PLACES[corner]
    rows = slice(0, 8) if y == 0 else slice(8, 16)
    columns = slice(0, 8) if x == 0 else slice(16, 24)
    pixels[rows, columns] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, exif=exif_of(orientation))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", CORNERS)
def test_pictures_are_turned_as_exif_says(kind: str, orientation: int) -> None:
    content = picture(kind, orientation, CORNERS[orientation])
    image = decode(content)
    assert shown_size(content) == image.size == ((24, 16) if orientation < 5 else (16, 24))
    assert np.asarray(image)[2:6, 2:6].min() > 200
    assert np.asarray(image)[10:, 10:].max() < 50


def png(pixels: Any = NOISE) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def late_exif() -> bytes:
    """A PNG that brings its orientation after the pixels."""
    whole = io.BytesIO()
    Image.open(io.BytesIO(png(NOISE[:16, :24]))).save(whole, "PNG")
    content, chunk = whole.getvalue(), io.BytesIO()
    PngImagePlugin.putchunk(chunk, b"eXIf", exif_of(6).tobytes()[6:])
    return content[:-12] + chunk.getvalue() + content[-12:]


def test_size_and_pixels_agree_when_exif_comes_last() -> None:
    content = late_exif()
    with Image.open(io.BytesIO(content)) as image:
        assert ImageOps.exif_transpose(image).size == (16, 24)  # it is there
    assert shown_size(content) == decode(content).size == (24, 16)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (5, 4)).save(buffer, "TIFF")
    assert (decode(buffer.getvalue()).mode, decode(buffer.getvalue()).size) == ("RGB", (5, 4))


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_can_not_be_decoded(content: bytes) -> None:
    for read in (shown_size, decode):
        with pytest.raises(DataError, match=r"^image can't be decoded: \w"):
            read(content)


def test_a_picture_cut_short_has_a_size_but_no_pixels() -> None:
    content = png()[:200]
    assert shown_size(content) == (32, 24)
    with pytest.raises(DataError, match="truncated"):
        decode(content)


def test_what_pillow_reads_by_another_program_is_refused() -> None:
    content = picture("EPS", 1)
    for read in (shown_size, decode):
        with pytest.raises(DataError, match="not a known image format"):
            read(content)


def test_the_header_is_enough_for_the_size() -> None:
    assert shown_size(png()[:100]) == (32, 24)


@pytest.mark.filterwarnings("ignore::Warning")
@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FORMATS), st.integers(0, 2**32))
def test_damage_raises_nothing_but_data_error(kind: str, seed: int) -> None:
    """Bytes anywhere are changed, the EXIF block included: it is an image then, or none."""
    draw = random.Random(seed)
    content = bytearray(picture(kind, 6))
    for _ in range(draw.randint(1, 8)):
        content[draw.randrange(len(content))] = draw.randrange(256)
    del content[draw.randint(len(content) // 2, 2 * len(content)) :]
    for read in (shown_size, decode):
        with suppress(DataError):
            read(bytes(content))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "no bytes"),
        (b"", "no bytes"),
        (b"no image at all", "not a known image format"),
        (png()[:200], "truncated|broken|Truncated"),
        (png()[:60] + b"\0" * 900, "image can't be decoded"),
    ],
)
def test_undecodable(data: bytes | None, words: str) -> None:
    with pytest.raises(DataError, match=words):
        decode(data)


def test_decompression_bomb_is_not_unpacked() -> None:
    buffer = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(buffer, "PNG")
    with pytest.raises(DataError, match="over 64,000,000 pixels"):
        decode(buffer.getvalue())
    with pytest.raises(DataError, match="over 64,000,000 pixels"):
        shown_size(buffer.getvalue())
    buffer = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(buffer, "PNG")
    with pytest.raises(DataError, match="10000x10000 is over"):
        decode(buffer.getvalue())


def test_a_side_out_of_all_proportion_is_refused() -> None:
    buffer = io.BytesIO()
    Image.new("1", (40_000, 8)).save(buffer, "PNG")
    for read in (shown_size, decode):
        with pytest.raises(DataError, match="40000x8 has a side over 32,768 pixels"):
            read(buffer.getvalue())


def saved(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"Exif\0\0no EXIF", b"Exif\0\0MM\0*\0\0"])
def test_broken_exif_turns_nothing(kind: str, exif: bytes) -> None:
    content = saved(kind, exif=exif)
    assert decode(content).size == shown_size(content) == (32, 24)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_picture_cut_short_is_none(kind: str) -> None:
    content = saved(kind)
    with pytest.raises(DataError, match="image can't be decoded"):
        decode(content[: len(content) // 2])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_has_the_size_that_it_is_shown_in(orientation: int) -> None:
    content = saved("TIFF", exif=exif_of(orientation))
    assert shown_size(content) == decode(content).size
