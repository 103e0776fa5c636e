"""Image sizes that a model takes, and fitting images to them without distortion.

A bucket is (width, height) in pixels. Images are enlarged or reduced until they cover it, then
cropped about the middle; nothing is ever mirrored, for left and right are part of a prompt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from invdpo.schemas.graph import Box
from invdpo.schemas.io.images import Size as Size

SIDE_STEPS = 16
"""Approximate count of bucket sides between 0 and the square's side; SDXL's steps of 64 at 1024."""
LONGEST_SIDE = 2
"""Of a bucket, in sides of the square."""
SMALLEST_AREA = 0.75
"""Of an image that is a bucket of its own, in areas of the square; the largest is 1."""


@dataclass(frozen=True)
class Framing:
    """Where an image's pixels come from, which SDXL takes as conditioning."""

    original: Size
    """Before resizing."""
    crop: Size
    """Pixels cut off at the left and at the top, after resizing."""
    target: Size
    """The bucket."""

    @property
    def enlarged(self) -> bool:
        """Whether the image was smaller than its bucket."""
        return self.original[0] < self.target[0] or self.original[1] < self.target[1]


@dataclass(frozen=True)
class Fitted:
    """An image of its bucket's size."""

    image: Image.Image
    framing: Framing


def make_buckets(side: int, multiple: int, *, square: bool = False) -> tuple[Size, ...]:
    """All sizes of about side x side pixels and no more, whose sides are multiples of `multiple`.

    The square has the largest such side. Others change in steps of a sixteenth of `side`, rounded
    up to `multiple`, from half of `side` to twice. With `square` there is the one square alone.
    """
    step = multiple * math.ceil(side / SIDE_STEPS / multiple)
    base = max(multiple, side // multiple * multiple)
    sizes = {(base, base)}
    for short in range(base, 0, -step) if not square else ():
        long = base * base // short // step * step
        if long <= LONGEST_SIDE * base:
            sizes |= {(short, long), (long, short)}
    return tuple(sorted(sizes))


def bucket_of(sizes: Sequence[Size], buckets: Sequence[Size]) -> Size:
    """The bucket that both images of a pair share: the nearest to their mean aspect ratio.

    Ratios are compared and averaged by their logarithms; among equals the larger bucket wins.
    """
    aspect = sum(math.log(width / height) for width, height in sizes) / len(sizes)
    return min(buckets, key=lambda b: (abs(math.log(b[0] / b[1]) - aspect), -b[0] * b[1]))


def may_be_bucket(size: Size, buckets: Sequence[Size], multiple: int) -> bool:
    """Whether images of this size in pixels can be trained at it, neither resampled nor cropped.

    They need about as many pixels as the square has, in whole multiples; where the square is the
    only bucket, they have to be that.
    """
    (width, height), square = size, max(w * h for w, h in buckets)
    about = SMALLEST_AREA * square <= width * height <= square
    whole = not (width % multiple or height % multiple)
    return about and whole and (len(buckets) > 1 or size in buckets)


def framing(original: Size, bucket: Size) -> Framing:
    """How an image of that size is resized and cropped; see `fit`."""
    resized = _covering_size(original, bucket)
    crop = ((resized[0] - bucket[0]) // 2, (resized[1] - bucket[1]) // 2)
    return Framing(original, crop, bucket)


def fit(image: Image.Image, bucket: Size) -> Fitted:
    """Resize until the image covers the bucket, then crop about the middle."""
    frame = framing(image.size, bucket)
    resized = _covering_size(image.size, bucket)
    if resized != image.size:
        image = image.resize(resized, Image.Resampling.LANCZOS)
    left, top = frame.crop
    return Fitted(image.crop((left, top, left + bucket[0], top + bucket[1])), frame)


def fit_box(box: Box, original: Size, bucket: Size) -> Box:
    """A box on an image of that size, on what `fit` makes of it; cropped parts are beyond 0..1."""
    width, height = _covering_size(original, bucket)
    left, top = framing(original, bucket).crop
    x0, x1 = ((x * width - left) / bucket[0] for x in box[0::2])
    y0, y1 = ((y * height - top) / bucket[1] for y in box[1::2])
    return x0, y0, x1, y1


def _covering_size(original: Size, bucket: Size) -> Size:
    scale = max(bucket[0] / original[0], bucket[1] / original[1])
    width, height = (round(length * scale) for length in original)
    return max(width, bucket[0]), max(height, bucket[1])
