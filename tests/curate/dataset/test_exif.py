"""Images that are passed on carry no EXIF, XMP or comments; their pixels are untouched."""

from __future__ import annotations

import io
import tracemalloc
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from invdpo.curate import images
from invdpo.curate.dataset import reencode
from invdpo.curate.dataset.exif import holds_metadata, without_metadata
from invdpo.curate.dataset.reencode import reencode_images
from invdpo.schemas import DataError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.tables import IMAGE
from tests.schemas.io import icc

NOISE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
SECRET = b"at home, 52.1 N"
PROFILE = icc.display_p3()


def written(kind: str, orientation: int = 1, **more: Any) -> bytes:
    """An image with a place in its EXIF, and a comment where the format has some."""
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = SECRET.decode(), orientation
    if kind == "PNG":
        more["pnginfo"] = PngInfo()
        more["pnginfo"].add_text("parameters", SECRET.decode())
        more["pnginfo"].add_itxt("workflow", SECRET.decode(), zip=True)
    if kind == "JPEG":
        more["comment"] = SECRET
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, kind, exif=exif, xmp=SECRET, icc_profile=PROFILE, **more)
    return file.getvalue()


def plain(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, kind)
    return file.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_it_goes_and_the_pixels_stay(kind: str) -> None:
    data = written(kind)
    assert SECRET in data
    assert holds_metadata(memoryview(data))
    clean = without_metadata(data)
    assert SECRET not in clean
    assert not holds_metadata(memoryview(clean))
    before, after = opened(data), opened(clean)
    assert (np.asarray(before) == np.asarray(after)).all()
    assert not dict(after.getexif())
    assert not {"exif", "xmp", "comment", "parameters", "workflow"} & after.info.keys()
    assert after.info["icc_profile"] == PROFILE
    assert without_metadata(clean) is clean


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_holds_nothing_is_the_same_bytes(kind: str) -> None:
    data = plain(kind)
    assert without_metadata(data) is data


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_that_is_turned_is_put_upright(kind: str) -> None:
    data = written(kind, orientation=6, **({"lossless": True} if kind == "WEBP" else {}))
    clean = without_metadata(data)
    assert SECRET not in clean
    after = opened(clean)
    assert after.format == kind
    assert after.size == (24, 32)
    assert after.info["icc_profile"] == PROFILE
    difference = np.abs(
        np.asarray(after).astype(int) - np.rot90(np.asarray(opened(data)), -1)
    ).max()
    assert difference <= (40 if kind == "JPEG" else 0)  # noise is the worst for JPEG


def test_what_we_write_carries_nothing() -> None:
    assert not holds_metadata(memoryview(images.encode(NOISE)))


@settings(deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.integers(0, 400), st.binary(max_size=8))
def test_damaged_files_are_refused(kind: str, cut: int, more: bytes) -> None:
    """Or written anew; nothing but `DataError` comes of them."""
    with suppress(DataError):
        assert SECRET not in without_metadata(written(kind)[:cut] + more)


def test_the_data_set_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [{"bytes": written("PNG"), "path": "a.png"}, {"bytes": None, "path": None}]
    others = [{"bytes": plain("PNG"), "path": "b.png"}] * 2
    table = pa.table(
        {
            "pair_id": ["p", "q"],
            "chosen": pa.array(pictures, IMAGE),
            "rejected": pa.array(others, IMAGE),
        }
    )
    made = reencode_images(table, DatasetConfig())
    assert made["chosen"].to_pylist() == [
        {"bytes": without_metadata(written("PNG")), "path": "a.png"},
        pictures[1],
    ]
    assert made["rejected"] is not None
    assert made["rejected"].equals(table["rejected"])
    again = made.select(["pair_id", "rejected"]).add_column(1, "chosen", made["rejected"])
    assert reencode_images(again, DatasetConfig()) is again


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_other_formats_are_clean(kind: str, image_format: str) -> None:
    """Pillow's writers pass on a comment of the image that they are given."""
    pictures = pa.array([{"bytes": written(kind), "path": "a.png"}], IMAGE)
    table = pa.table({"pair_id": ["p"], "chosen": pictures, "rejected": pictures})
    config = DatasetConfig.model_validate({"image_format": image_format})
    data = reencode_images(table, config)["chosen"].to_pylist()[0]["bytes"]
    assert SECRET not in data
    assert not dict(opened(data).getexif())


def test_pictures_are_looked_at_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of an array are copies; a view of a slice begins where its image does."""
    clean = plain("PNG")
    rows = [{"bytes": clean + bytes([n]), "path": None} for n in range(4)]
    images = pa.array([*rows, {"bytes": None, "path": "gone"}], IMAGE)
    seen: list[memoryview] = []
    monkeypatch.setattr(reencode, "holds_metadata", seen.append)
    table = pa.table({"pair_id": list("abcde"), "chosen": images, "rejected": images}).slice(1)
    assert reencode_images(table, DatasetConfig()) is table
    assert [bytes(view) for view in seen] == [row["bytes"] for row in rows[1:]] * 2
    data = images.field("bytes").buffers()[2]
    starts = [pa.py_buffer(view).address - data.address for view in seen[:3]]
    assert starts == [n * (len(clean) + 1) for n in (1, 2, 3)]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_clean_picture_is_not_copied(kind: str) -> None:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, kind, quality=95)
    data = memoryview(file.getvalue())
    holds_metadata(data)
    tracemalloc.start()
    try:
        assert not holds_metadata(data)
        assert tracemalloc.get_traced_memory()[1] < len(data) / 2
    finally:
        tracemalloc.stop()
