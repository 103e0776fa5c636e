"""Images that we encode, and the hash that near-equal ones share."""

import numpy as np
from PIL import Image

from invdpo.curate import images
from invdpo.schemas.io.images import decode

NOISE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def test_png_is_lossless() -> None:
    assert (np.asarray(decode(images.encode(NOISE))) == NOISE).all()


def test_perceptual_hash_survives_a_shift_in_brightness() -> None:
    smooth = np.asarray(Image.fromarray(NOISE[:4, :4]).resize((64, 64), Image.Resampling.BICUBIC))
    brighter = np.clip(smooth.astype(int) + 2, 0, 255).astype(np.uint8)
    one, other = images.perceptual_hash(smooth), images.perceptual_hash(brighter)
    assert len(one) == 16
    assert (int(one, 16) ^ int(other, 16)).bit_count() <= 4
