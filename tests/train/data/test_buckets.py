from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError
from invdpo.train import train
from invdpo.train.data import decode, shown_size
from invdpo.train.data.buckets import bucket_of, fit, framing, make_buckets
from tests.train.tiny import png, row, write_pairs

SIDES = st.integers(1, 3000)


def test_buckets_of_a_1024_model() -> None:
    buckets = make_buckets(1024, 64)
    assert {(1024, 1024), (832, 1216), (1216, 832), (1344, 768), (2048, 512)} <= set(buckets)
    assert len(buckets) == 17
    assert make_buckets(1024, 64, square=True) == ((1024, 1024),)


@pytest.mark.parametrize("side", [272, 640, 1088, 1152, 1328])
def test_the_square_has_the_side_asked_for(side: int) -> None:
    """Also where it is no multiple of the steps between the others: 1328 is Qwen-Image's own."""
    assert make_buckets(side, 16, square=True) == ((side, side),)
    assert (side, side) in make_buckets(side, 16)


@given(side=st.integers(8, 2048), multiple=st.sampled_from([8, 16, 32, 64]))
def test_buckets_fit_the_model_and_the_memory(side: int, multiple: int) -> None:
    for width, height in make_buckets(side, multiple):
        assert width % multiple == height % multiple == 0 < width * height
        assert width * height <= max(side, multiple) ** 2
        assert max(width, height) <= 2 * max(side, multiple)


@given(width=SIDES, height=SIDES)
def test_turning_a_picture_turns_its_bucket(width: int, height: int) -> None:
    buckets = make_buckets(1024, 64)
    assert bucket_of([(height, width)], buckets) == bucket_of([(width, height)], buckets)[::-1]


def test_a_pair_shares_the_bucket_between_its_shapes() -> None:
    buckets = make_buckets(1024, 64)
    assert bucket_of([(2000, 1000), (1000, 2000)], buckets) == (1024, 1024)
    assert bucket_of([(1920, 1080)] * 2, buckets) == (1344, 768)


@given(width=st.integers(1, 200), height=st.integers(1, 200))
def test_fitted_pictures_have_the_size_of_their_bucket(width: int, height: int) -> None:
    for bucket in ((32, 32), (48, 16)):
        fitted = fit(Image.new("RGB", (width, height)), bucket)
        assert fitted.image.size == fitted.framing.target == bucket
        assert fitted.framing == framing((width, height), bucket)
        assert min(fitted.framing.crop) == 0
        assert fitted.framing.enlarged == (width < bucket[0] or height < bucket[1])


def test_the_middle_is_kept_and_nothing_is_mirrored_or_stretched() -> None:
    picture = Image.new("RGB", (64, 32), "white")
    picture.paste("red", (16, 0, 32, 32))
    picture.paste("blue", (32, 0, 48, 32))
    fitted = fit(picture, (32, 32)).image
    assert fitted.getpixel((0, 0)) == (255, 0, 0)
    assert fitted.getpixel((31, 31)) == (0, 0, 255)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pictures_are_taken_the_way_up_they_are_shown(kind: str) -> None:
    picture = Image.new("RGB", (40, 20), "white")
    picture.paste("red", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    buffer = io.BytesIO()
    picture.save(buffer, kind, exif=exif)
    assert shown_size(buffer.getvalue()) == decode(buffer.getvalue()).size == (20, 40)
    top = decode(buffer.getvalue()).getpixel((10, 5))
    assert isinstance(top, tuple)
    assert top[0] > 240 > 20 > top[2]


def test_any_resolution_and_shape_trains(config: TrainConfig, tmp_path: Path) -> None:
    sizes = [(16, 16), (40, 20), (20, 40), (33, 17)]
    data = [row(n, png(2 * n, size), png(2 * n + 1, size)) for n, size in enumerate(sizes)]
    write_pairs(tmp_path / "data", "train", data)
    changes = {"resolution": 24, "batch_size": 4, "max_steps": 2, "keep": "last"}
    result = train(
        tmp_path / "data", tmp_path / "out", config.model_copy(update=changes), progress=False
    )
    assert result.pairs == 4
    assert result.metrics["grad_norm"] > 0
    assert "2 images smaller than the training size: enlarged." in result.notes


@pytest.mark.parametrize(("side", "near"), [(7, "8"), (28, "24 or 32")])
def test_a_resolution_off_the_models_grid_is_refused(
    config: TrainConfig, dataset: Path, tmp_path: Path, side: int, near: str
) -> None:
    said = f"resolution: found {side}; expected a multiple of 8, such as {near}"
    with pytest.raises(ConfigError, match=said):
        train(dataset, tmp_path, config.model_copy(update={"resolution": side}), progress=False)
