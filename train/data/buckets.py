"""Picture sizes that a model takes, and fitting pictures to them without distortion.

A bucket is (width, height) in pixels. Pictures are enlarged or reduced until they cover it, then
cropped about the middle; nothing is ever mirrored, for left and right are part of a prompt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

Size = tuple[int, int]
"""(width, height) in pixels."""

SHAPES = 16
"""About how many bucket sides lie between 0 and the square's side; SDXL's steps of 64 at 1024."""
WIDEST = 2
"""Longest side of a bucket, in sides of the square."""


@dataclass(frozen=True)
class Framing:
    """Where a picture's pixels come from, which SDXL is told."""

    original: Size
    """Before resizing."""
    crop: Size
    """Pixels cut off at the left and at the top, after resizing."""
    target: Size
    """The bucket."""

    @property
    def enlarged(self) -> bool:
        """Whether the picture was smaller than its bucket."""
        return self.original[0] < self.target[0] or self.original[1] < self.target[1]


@dataclass(frozen=True)
class Fitted:
    """A picture of its bucket's size."""

    image: Image.Image
    framing: Framing


def make_buckets(side: int, multiple: int, *, square: bool = False) -> tuple[Size, ...]:
    """All sizes of about side x side pixels and no more, whose sides are multiples of `multiple`.

    Sides grow in steps of a sixteenth of `side`, rounded up to `multiple`, from half of `side` to
    twice. With `square` there is the one square alone.
    """
    step = multiple * math.ceil(side / SHAPES / multiple)
    base = max(step, side // step * step)
    found = {(base, base)}
    for short in range(base, 0, -step) if not square else ():
        long = base * base // short // step * step
        if long <= WIDEST * base:
            found |= {(short, long), (long, short)}
    return tuple(sorted(found))


def bucket_of(sizes: Sequence[Size], buckets: Sequence[Size]) -> Size:
    """The bucket that all the pictures of a pair share: the nearest to their mean aspect ratio.

    Ratios are compared and averaged by their logarithms; among equals the larger bucket wins.
    """
    wanted = sum(math.log(width / height) for width, height in sizes) / len(sizes)
    return min(buckets, key=lambda b: (abs(math.log(b[0] / b[1]) - wanted), -b[0] * b[1]))


def framing(original: Size, bucket: Size) -> Framing:
    """How a picture of that size is resized and cropped; see `fit`."""
    resized = _covering(original, bucket)
    crop = ((resized[0] - bucket[0]) // 2, (resized[1] - bucket[1]) // 2)
    return Framing(original, crop, bucket)


def fit(image: Image.Image, bucket: Size) -> Fitted:
    """Resize until the picture covers the bucket, then crop about the middle."""
    frame = framing(image.size, bucket)
    resized = _covering(image.size, bucket)
    if resized != image.size:
        image = image.resize(resized, Image.Resampling.LANCZOS)
    left, top = frame.crop
    return Fitted(image.crop((left, top, left + bucket[0], top + bucket[1])), frame)


def _covering(original: Size, bucket: Size) -> Size:
    scale = max(bucket[0] / original[0], bucket[1] / original[1])
    width, height = (round(length * scale) for length in original)
    return max(width, bucket[0]), max(height, bucket[1])
