"""Which size pairs are trained at, and which images are known to be the reference's own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from invdpo.curate.shapes.bundle import model_path
from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError
from invdpo.train.data.buckets import Size, make_buckets, may_be_bucket
from invdpo.train.data.pairs import NO_SEED, OF_ANOTHER, RESIZED, Pair
from invdpo.train.models import ModelAdapter, load_adapter
from invdpo.train.splits import _fitted, resolve_config

OURS = "revision of the reference"
QWEN = make_buckets(1328, 16)


@pytest.fixture(scope="module")
def adapter() -> ModelAdapter:
    return load_adapter(TrainConfig(model=str(model_path())), torch.device("cpu"))


def pair(size: Size, other: Size | None = None) -> Pair:
    return Pair(
        "id", "text", "a", "b", "row", (size, other or size), (0, 0), 1.0, (3, 4), (OURS,) * 2
    )


def fitted(adapter: ModelAdapter, pair: Pair, revision: str | None = OURS) -> Pair:
    return _fitted(pair, make_buckets(272, 16), adapter, revision)


def test_images_of_the_reference_keep_the_size_that_their_noise_has(adapter: ModelAdapter) -> None:
    seen = fitted(adapter, pair((208, 320)))
    assert (seen.bucket, seen.inverted) == ((208, 320), ("", ""))


def test_images_from_elsewhere_have_a_bucket_and_no_noise(adapter: ModelAdapter) -> None:
    images = pair((208, 320))
    unknown = replace(images, seeds=(3, None))
    strange = replace(images, revisions=(OURS, "another"))
    nameless = replace(images, revisions=(None, None))
    reasons = {
        fitted(adapter, images, None): (OF_ANOTHER, OF_ANOTHER),
        fitted(adapter, nameless, None): (OF_ANOTHER, OF_ANOTHER),
        fitted(adapter, unknown): (RESIZED, NO_SEED),
        fitted(adapter, strange): (RESIZED, OF_ANOTHER),
    }
    for seen, expected in reasons.items():
        assert (seen.bucket, seen.inverted) == ((208, 352), expected)


def test_two_sizes_share_a_bucket_and_the_image_of_that_size_has_its_noise(
    adapter: ModelAdapter,
) -> None:
    seen = fitted(adapter, pair((272, 272), (544, 544)))
    assert (seen.bucket, seen.inverted) == ((272, 272), ("", RESIZED))


def test_images_far_from_the_training_size_are_scaled_to_it(adapter: ModelAdapter) -> None:
    for size in ((128, 128), (544, 544), (216, 312)):
        seen = fitted(adapter, pair(size))
        assert seen.bucket in make_buckets(272, 16)
        assert seen.inverted == (RESIZED, RESIZED)


@pytest.mark.parametrize("size", [(1664, 928), (928, 1664), (1472, 1104), (1584, 1056)])
def test_the_sizes_that_qwen_image_recommends_may_be_buckets(size: Size) -> None:
    assert size not in QWEN
    assert may_be_bucket(size, QWEN, 16)
    assert not may_be_bucket(size, make_buckets(1328, 16, square=True), 16)
    assert not may_be_bucket(size, make_buckets(1024, 16), 16)
    assert not may_be_bucket((size[0] + 8, size[1]), QWEN, 16)


def test_all_weights_that_are_tied_to_their_start_are_given_as_the_model(
    adapter: ModelAdapter,
) -> None:
    config = TrainConfig(model=str(model_path()), tuning="full", start_from="tuned")
    assert resolve_config(config, adapter).start_from == "tuned"
    with pytest.raises(ConfigError, match=r"^reference: found start.* give .* as --model tuned"):
        resolve_config(config.model_copy(update={"reference": "start"}), adapter)
