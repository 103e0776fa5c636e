"""A secret in every odd place of an image's file is gone, and what is shown stays."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from invdpo.curate.dataset.exif import holds_metadata, without_metadata
from invdpo.curate.dataset.reencode import reencode_images
from invdpo.schemas import DataError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.io.images import ORIENTATION, decode
from invdpo.schemas.tables import IMAGE
from tests.schemas.io import icc

SECRET = b"at home, 52.1 N"
PICTURE = Image.radial_gradient("L").resize((40, 30)).convert("RGB")
PROFILE = icc.display_p3()


def saved(kind: str, image: Image.Image = PICTURE, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int = 1) -> Image.Exif:
    data = Image.Exif()
    data[0x010E], data[ORIENTATION] = SECRET.decode(), orientation
    return data


def png(*chunks: tuple[bytes, bytes], at: int = 33, data: bytes = b"") -> bytes:
    """A PNG with chunks put in, behind its header unless told otherwise."""
    data = data or saved("PNG")
    more = b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
    at %= len(data) + 1
    return data[:at] + more + data[at:]


def packed_pixels() -> bytes:
    """A PNG with the secret behind its packed pixels, in the same chunk."""
    data = saved("PNG")
    size = struct.unpack_from(">I", data, 33)[0]
    return png((b"IDAT", data[41 : 41 + size] + SECRET), data=data[:33] + data[45 + size :])


def jpeg(*segments: tuple[int, bytes], at: int = 2, **options: Any) -> bytes:
    """A JPEG with segments put in, at its start unless told otherwise."""
    data = saved("JPEG", **options)
    more = b"".join(
        struct.pack(">BBH", 0xFF, kind, len(content) + 2) + content for kind, content in segments
    )
    return data[:at] + more + data[at:]


def webp(*chunks: tuple[bytes, bytes], **options: Any) -> bytes:
    """An extended WebP with chunks put at its end."""
    data = saved("WEBP", icc_profile=PROFILE, **options)
    data += b"".join(
        name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
        for name, content in chunks
    )
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def tags() -> ImageFileDirectory_v2:
    made = ImageFileDirectory_v2()
    made[270], made[700] = SECRET.decode(), SECRET
    return made


def bmp() -> bytes:
    """A BMP with the secret between head and pixels."""
    data = saved("BMP")
    return data[:10] + struct.pack("<I", 54 + len(SECRET)) + data[14:54] + SECRET + data[54:]


def animation(kind: str, **options: Any) -> bytes:
    other = Image.new("RGB", PICTURE.size, "red")
    return saved(kind, save_all=True, append_images=[other], **options)


def surplus_rows(**options: Any) -> bytes:
    """A PNG whose packed pixels hold the secret behind their last row."""
    head = struct.pack(">IIBBBBB", 9, 5, 8, 0, 0, 0, options.get("interlaced", 0))
    rows = options.get("size", 50) * b"\0"
    pixels = zlib.compress(rows + SECRET, 0)
    return png((b"IHDR", head), (b"IDAT", pixels), (b"IEND", b""), data=PNG, at=8)


def behind_the_frame() -> bytes:
    """A lossy WebP whose pixels have the secret behind them, in the same chunk."""
    chunk = saved("WEBP")[20:] + SECRET
    chunk += b"\0" * (len(chunk) % 2)
    head = struct.pack("<4sI4s4sI", b"RIFF", 12 + len(chunk), b"WEBP", b"VP8 ", len(chunk))
    return head + chunk


PNG = saved("PNG")[:8]
GREY_PNG = saved("PNG", PICTURE.convert("L"))
FILL = b"\xff" * 3
THUMBNAIL = b"JFIF\0\1\2\0\0\1\0\1\2\3" + SECRET + bytes(18 - len(SECRET))
JPEG_END = len(saved("JPEG")) - 2
PLACES: dict[str, Callable[[], bytes]] = {
    "PNG: behind the end": lambda: png((b"tEXt", b"a\0" + SECRET)) + b"x",
    "PNG: all behind the end": lambda: saved("PNG") + SECRET,
    "PNG: text after the pixels": lambda: png((b"zTXt", b"a\0\0" + SECRET), at=-13),
    "PNG: a chunk of one's own": lambda: png((b"seCr", SECRET)),
    "PNG: C2PA": lambda: png((b"caBX", SECRET)),
    "PNG: a palette's name": lambda: png((b"sPLT", SECRET + b"\0\x08")),
    "PNG: too long a chunk": lambda: png((b"pHYs", SECRET)),
    "PNG: a profile's name": lambda: png((b"iCCP", SECRET + b"\0\0" + zlib.compress(PROFILE))),
    "PNG: behind a profile": lambda: saved("PNG", icc_profile=PROFILE + SECRET),
    "PNG: behind a packed profile": lambda: png(
        (b"iCCP", b"ICC Profile\0\0" + zlib.compress(PROFILE) + SECRET)
    ),
    "PNG: instead of a profile": lambda: png((b"iCCP", b"a\0\0" + zlib.compress(SECRET, 0))),
    "PNG: behind the packed pixels": packed_pixels,
    "PNG: behind the last row": surplus_rows,
    "PNG: behind the last row, interlaced": lambda: surplus_rows(interlaced=1, size=60),
    "PNG: behind a transparent grey": lambda: png((b"tRNS", b"\0\5" + SECRET), data=GREY_PNG),
    "PNG: a palette beside colours": lambda: png((b"PLTE", SECRET)),
    "PNG: the end of the image is missing": lambda: png((b"tEXt", b"a\0" + SECRET))[:-12],
    "PNG: animated": lambda: animation("PNG", exif=exif()),
    "PNG: turned": lambda: png((b"tEXt", b"a\0" + SECRET), at=-13, data=saved("PNG", exif=exif(6))),
    "JPEG: fill bytes": lambda: jpeg()[:2] + FILL + jpeg((0xE1, b"Exif\0\0" + SECRET))[2:],
    "JPEG: fill bytes before a marker": lambda: jpeg()[:2] + b"\xff" + jpeg((0xFE, SECRET))[2:],
    "JPEG: behind the end": lambda: jpeg((0xFE, SECRET)) + b"x" + SECRET,
    "JPEG: a second behind it": lambda: saved("JPEG", exif=exif()) * 2,
    "JPEG: between scans": lambda: jpeg((0xFE, SECRET), progressive=True),
    "JPEG: the end of the image is missing": lambda: jpeg((0xED, SECRET))[:-2] + b"\xff",
    "JPEG: before the end": lambda: jpeg((0xFE, SECRET), at=JPEG_END),
    "JPEG: no marker": lambda: jpeg()[:20] + SECRET + jpeg((0xFE, SECRET), at=20)[20:],
    "JPEG: number of lines": lambda: jpeg((0xDC, SECRET)),
    "JPEG: behind the pixels": lambda: saved("JPEG")[:-2] + SECRET + saved("JPEG")[-2:],
    "JPEG: behind the pixels, turned": lambda: (
        saved("JPEG", exif=exif(6))[:-2] + SECRET + saved("JPEG")[-2:]
    ),
    "JPEG: thumbnail": lambda: jpeg()[:2] + jpeg((0xE0, THUMBNAIL))[2:],
    "JPEG: second thumbnail": lambda: jpeg((0xE0, b"JFXX\0\x13" + SECRET), at=20),
    "JPEG: C2PA": lambda: jpeg((0xEB, b"JP\0\1" + SECRET)),
    "JPEG: FlashPix": lambda: jpeg((0xE2, b"FPXR\0" + SECRET)),
    "JPEG: long Adobe": lambda: jpeg((0xEE, b"Adobe\0\x64\0\0\0\0\1" + SECRET)),
    "JPEG: behind a profile": lambda: saved("JPEG", icc_profile=PROFILE + SECRET),
    "JPEG: instead of a profile": lambda: saved("JPEG", icc_profile=SECRET * 20),
    "JPEG: turned": lambda: saved("JPEG", exif=exif(6), icc_profile=PROFILE, comment=SECRET),
    "JPEG: turned CMYK": lambda: saved(
        "JPEG", PICTURE.convert("CMYK"), exif=exif(6), icc_profile=icc.cmyk()
    ),
    "MPO": lambda: animation("MPO", exif=exif()),
    "MPO: turned": lambda: animation("MPO", exif=exif(6)),
    "WebP: a chunk of one's own": lambda: webp((b"SECR", SECRET)),
    "WebP: EXIF twice": lambda: webp((b"EXIF", SECRET), (b"EXIF", SECRET)),
    "WebP: behind the frame": behind_the_frame,
    "WebP: behind the end": lambda: webp() + SECRET,
    "WebP: behind a profile": lambda: saved("WEBP", icc_profile=PROFILE + SECRET, lossless=True),
    "WebP: no profile": lambda: saved("WEBP", icc_profile=SECRET * 9),
    "WebP: animated": lambda: animation("WEBP", exif=exif(), lossless=True),
    "WebP: turned": lambda: saved("WEBP", exif=exif(6), icc_profile=PROFILE, lossless=True),
    "TIFF: tags": lambda: saved("TIFF", tiffinfo=tags(), icc_profile=PROFILE),
    "TIFF: turned": lambda: saved("TIFF", exif=exif(6)),
    "TIFF: pages": lambda: animation("TIFF", tiffinfo=tags()),
    "TIFF: 16 bits": lambda: (
        saved("TIFF", Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100))
        + SECRET
    ),
    "TIFF: CMYK": lambda: saved(
        "TIFF", PICTURE.convert("CMYK"), tiffinfo=tags(), icc_profile=icc.cmyk()
    ),
    "GIF: comment": lambda: saved("GIF", comment=SECRET),
    "GIF: animated": lambda: animation("GIF", comment=SECRET),
    "GIF: behind the end": lambda: saved("GIF") + SECRET,
    "BMP: behind the end": lambda: saved("BMP") + SECRET,
    "BMP: behind the head": bmp,
}
LOSSY = {
    "JPEG: number of lines",
    "JPEG: behind the pixels",
    "JPEG: behind the pixels, turned",
    "JPEG: turned",
    "JPEG: turned CMYK",
    "JPEG: the end of the image is missing",
    "JPEG: no marker",
    "MPO: turned",
}


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_goes_and_the_picture_stays(place: str) -> None:
    data = PLACES[place]()
    assert SECRET in data or SECRET in opened(data).info["icc_profile"]
    try:
        before = decode(data)
    except DataError:
        with pytest.raises(DataError):
            without_metadata(data)
        return
    clean = without_metadata(data)
    assert SECRET not in clean + opened(clean).info.get("icc_profile", b"")
    assert not holds_metadata(memoryview(clean))
    assert without_metadata(clean) is clean
    assert not {*opened(clean).info} & {"exif", "xmp", "comment", "parameters"}
    difference = np.asarray(decode(clean), np.int64) - np.asarray(before)
    assert np.abs(difference).max() <= (12 if place in LOSSY else 0)
    assert getattr(opened(clean), "n_frames", 1) == 1


@pytest.mark.parametrize("colour", ["white", "black", "grey"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {}), ("WEBP", {"lossless": True})],
)
def test_a_plain_corner_is_no_surplus(colour: str, kind: str, options: dict[str, Any]) -> None:
    image = PICTURE.resize((320, 320))
    image.paste(colour, (160, 160, 320, 320))
    data = saved(kind, image, **options)
    assert without_metadata(data) is data


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_profiles_are_kept(kind: str, orientation: int) -> None:
    clean = without_metadata(saved(kind, exif=exif(orientation), icc_profile=PROFILE))
    assert opened(clean).info["icc_profile"] == PROFILE


def test_long_profiles_of_a_jpeg_are_kept_in_order() -> None:
    profile = icc.display_p3(filler=np.random.default_rng(0).bytes(150_000))
    clean = without_metadata(saved("JPEG", exif=exif(6), icc_profile=profile))
    assert opened(clean).info["icc_profile"] == profile
    assert without_metadata(clean) is clean


def test_a_lossless_webp_stays_lossless() -> None:
    data = saved("WEBP", exif=exif(3), lossless=True)
    assert (
        np.asarray(opened(without_metadata(data))) == np.rot90(np.asarray(opened(data)), 2)
    ).all()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_profile_is_applied_where_the_format_changes(kind: str) -> None:
    data = saved("PNG", icc_profile=PROFILE, exif=exif())
    images = pa.array([{"bytes": data, "path": "a.png"}], IMAGE)
    table = pa.table({"pair_id": ["p"], "chosen": images, "rejected": images})
    config = DatasetConfig.model_validate({"image_format": kind})
    made = reencode_images(table, config)["chosen"].to_pylist()[0]["bytes"]
    assert "icc_profile" not in opened(made).info
    difference = np.asarray(opened(made), np.int64) - np.asarray(decode(data))
    assert np.abs(difference).mean() < 3
    assert SECRET not in made


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pictures_of_a_table_are_cleaned(kind: str) -> None:
    images = pa.array([{"bytes": saved(kind, exif=exif()), "path": None}], IMAGE)
    table = pa.table({"pair_id": ["p"], "chosen": images, "rejected": images})
    made = reencode_images(table, DatasetConfig())
    assert SECRET not in made["chosen"].to_pylist()[0]["bytes"]
    assert reencode_images(made, DatasetConfig()) is made


def test_other_formats_of_a_data_set_become_png() -> None:
    images = pa.array([{"bytes": saved("TIFF", tiffinfo=tags()), "path": "p/a.tiff"}], IMAGE)
    table = pa.table({"pair_id": ["p"], "chosen": images, "rejected": images})
    made = reencode_images(table, DatasetConfig())["chosen"].to_pylist()[0]
    assert made["path"] == "p/a.png"
    assert opened(made["bytes"]).format == "PNG"
    assert SECRET not in made["bytes"]


def test_what_is_no_picture_is_refused_with_its_pair() -> None:
    images = pa.array([{"bytes": saved("PNG")[:60], "path": None}], IMAGE)
    table = pa.table({"pair_id": ["p7"], "chosen": images, "rejected": images})
    with pytest.raises(DataError, match="pair p7: image can't be decoded"):
        reencode_images(table, DatasetConfig())
