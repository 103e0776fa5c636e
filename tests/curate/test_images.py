"""Pictures in and out of bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from invdpo.curate import images
from invdpo.schemas import DataError

NOISE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def test_png_is_lossless() -> None:
    assert (np.asarray(images.decode(images.encode(NOISE))) == NOISE).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_any_mode_becomes_rgb(mode: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(NOISE).convert(mode).save(buffer, "PNG")
    assert images.decode(buffer.getvalue()).mode == "RGB"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "no bytes"),
        (b"", "no bytes"),
        (b"no picture at all", "not a known image format"),
        (images.encode(NOISE)[:200], "truncated|broken|Truncated"),
        (images.encode(NOISE)[:60] + b"\0" * 900, "image can't be decoded"),
    ],
)
def test_undecodable(data: bytes | None, words: str) -> None:
    with pytest.raises(DataError, match=words):
        images.decode(data)


def test_decompression_bomb_is_not_unpacked() -> None:
    buffer = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(buffer, "PNG")
    with pytest.raises(DataError, match="over 64,000,000 pixels"):
        images.decode(buffer.getvalue())
    buffer = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(buffer, "PNG")
    with pytest.raises(DataError, match="10000x10000 is over"):
        images.decode(buffer.getvalue())


def test_perceptual_hash_survives_a_shift_in_brightness() -> None:
    smooth = np.asarray(Image.fromarray(NOISE[:4, :4]).resize((64, 64), Image.Resampling.BICUBIC))
    brighter = np.clip(smooth.astype(int) + 2, 0, 255).astype(np.uint8)
    one, other = images.perceptual_hash(smooth), images.perceptual_hash(brighter)
    assert len(one) == 16
    assert (int(one, 16) ^ int(other, 16)).bit_count() <= 4
