"""The share of each position that boxes cover, and what follows for its weight."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from invdpo.train.data.buckets import fit, fit_box
from invdpo.train.data.regions import covered, position_weights
from invdpo.train.objective import error_map, noise_error, region_mean

SIDE = st.integers(0, 20)
PIXELS = st.tuples(SIDE, SIDE, SIDE, SIDE).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)


def test_shares_of_one_box_and_of_two_that_overlap() -> None:
    """Of 2 x 2 positions the first box covers 1/2 of two; both overlap in a sixteenth."""
    assert covered([], (2, 2)).tolist() == [[0, 0], [0, 0]]
    assert covered([(0, 0.25, 1, 0.5)], (2, 2)).tolist() == [[0.5, 0.5], [0, 0]]
    two = [(0, 0, 0.25, 0.25), (0.125, 0.125, 0.375, 0.375)]
    assert covered(two, (2, 2)).tolist() == [[0.25 + 0.25 - 0.0625, 0], [0, 0]]
    assert covered([(-1, -1, 2, 2), (0.9, 0.9, 0.1, 0.1)], (3, 2)).min() == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(boxes=st.lists(PIXELS, max_size=3))
@pytest.mark.parametrize("size", [(20, 16), (16, 20)])
def test_cropped_boxes_cover_what_is_left_of_a_picture_painted_with_them(
    boxes: list[tuple[int, int, int, int]], size: tuple[int, int]
) -> None:
    """20 x 16 and 16 x 20 pixels are cropped to 16 x 16; a position is 4 x 4 pixels."""
    picture = Image.new("L", size)
    for x0, y0, x1, y1 in boxes:
        if x0 < x1 and y0 < y1:
            ImageDraw.Draw(picture).rectangle((x0, y0, x1 - 1, y1 - 1), fill=1)
    pixels = np.array(fit(picture, (16, 16)).image, dtype=float)
    painted = pixels.reshape(4, 4, 4, 4).mean((1, 3))
    width, height = size
    shares = [(b[0] / width, b[1] / height, b[2] / width, b[3] / height) for b in boxes]
    fitted = [fit_box(box, size, (16, 16)) for box in shares]
    np.testing.assert_allclose(covered(fitted, (4, 4)), painted, atol=1e-12)


def test_a_box_is_resized_with_its_image() -> None:
    """100 x 200 becomes 32 x 64, of which 16 rows go above and below."""
    assert fit_box((0.25, 0.5, 1, 1), (100, 200), (32, 32)) == (0.25, 0.5, 1, 1.5)


def test_errors_in_boxes_count_in_proportion_and_the_mean_weight_is_1() -> None:
    """E = Σ (1 + (w−1)·s)·e / Σ (1 + (w−1)·s), in float64; both ways to it agree."""
    boxes, shape, weight = [(0.0, 0.0, 0.5, 0.75)], (2, 4), 9.0
    share = torch.tensor([[1, 1, 0, 0], [0.5, 0.5, 0, 0]], dtype=torch.float64)
    prediction, target = torch.randn(
        2, 3, *shape, generator=torch.Generator().manual_seed(0)
    ).double()
    error = (prediction - target).square().mean(0)
    expected = (error + 8 * share * error).sum() / (8 + 8 * 3)
    region = position_weights(boxes, shape, weight)
    assert region.mean().item() == pytest.approx(1, rel=1e-15)
    assert region[0, 0].item() == pytest.approx(9 * region[0, 3].item(), rel=1e-15)
    assert noise_error(prediction, target, region).item() == pytest.approx(
        expected.item(), rel=1e-14
    )
    in_map = region_mean(error_map(prediction, target), region)
    assert in_map.item() == pytest.approx(expected.item(), rel=1e-14)
