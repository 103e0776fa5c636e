"""From the many ways in which files store colours to eight bits of sRGB on white.

`invdpo.schemas.io.images` states the rule.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from invdpo.schemas.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

PLAIN = ("1", "L", "P", "RGB", "RGBX", "YCbCr", "CMYK", "LAB")
"""Pillow's modes of eight bits a channel without transparency."""
BITS, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0
"""Tags of TIFF, and a value of the second."""
COVERED = "covered"
"""In `info` of a GIF whose first image is smaller than its page: left, top, right and bottom."""


def is_plain(image: Image.Image) -> bool:
    """Whether Pillow's own conversion to RGB is what a viewer shows."""
    stored = image.mode in PLAIN and not image.has_transparency_data
    return stored and not image.info.get("icc_profile") and COVERED not in image.info


def to_srgb(image: Image.Image) -> Image.Image:
    """The pixels as RGB, without metadata. Raises `DataError` for unknown scales."""
    shown = image.convert("RGB") if is_plain(image) else _shown(image)
    shown.info = {}  # some writers would pass it on
    return shown


def clean_profile(profile: bytes | None) -> bytes | None:
    """An ICC profile without what is appended to it; None for what is none."""
    from PIL import ImageCms

    if not profile or len(profile) < int.from_bytes(profile[:4]):
        return None
    profile = profile[: int.from_bytes(profile[:4])]
    try:
        ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return profile


def _shown(image: Image.Image) -> Image.Image:
    from PIL import Image

    profile = clean_profile(image.info.get("icc_profile"))
    if image.mode[0] in "IF":
        image = _eight_bits(image)
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    if alpha is None and COVERED in image.info:
        alpha = Image.new("L", image.size)
        alpha.paste(255, image.info[COVERED])
    grey = image.mode in ("1", "L", "LA")
    if alpha is not None and not grey:
        image = image.convert("RGBA")  # a palette with alpha, and colours weighted by it
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if grey else "RGB")
    image = _managed(image, profile) if profile else image.convert("RGB")
    if alpha is None:
        return image
    shown = Image.new("RGB", image.size, "white")
    shown.paste(image, mask=alpha)
    return shown


def _managed(image: Image.Image, profile: bytes) -> Image.Image:
    """L, RGB or CMYK by its profile; plainly where that is for other channels, or of no use."""
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = source.profile.xcolor_space.strip()
    mode = "L" if space == "GRAY" else space
    # grey with a profile for RGB is common, and means equal channels
    if image.mode == mode or (image.mode, mode) == ("L", "RGB"):
        target = ImageCms.createProfile("sRGB")
        try:
            made = ImageCms.profileToProfile(image.convert(mode), source, target, outputMode="RGB")
            return made or image.convert("RGB")
        except ImageCms.PyCMSError:
            pass
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of more bits as L, or LA where one value is transparent."""
    import numpy as np
    from PIL import Image

    tags = getattr(image, "tag_v2", {})
    bits = tags.get(BITS, (0,))[0]
    white = {"I": 65_535.0, "F": 1.0}.get(image.mode, 2.0 ** (bits or 16) - 1)
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= white) or (image.mode == "I" and bits == 16):
        kind = "fractions" if image.mode == "F" else "signed whole numbers"
        text = f"grey as {kind} from {low} to {high}; allowed are 0 to {white:,.0f}"
        raise DataError(f"image can't be decoded: {text}")
    levels = np.rint(values * np.float32(255 / white)).astype(np.uint8)
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        levels = 255 - levels
    grey, key = Image.fromarray(levels), image.info.get("transparency")
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    return grey
