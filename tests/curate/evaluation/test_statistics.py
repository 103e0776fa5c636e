"""Intervals against closed forms and textbook values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invdpo.curate.evaluation.statistics import Z95, compare, mean, sign_test, wilson
from invdpo.schemas import DataError


def test_wilson() -> None:
    """8 of 10: .4902 to .9433, the textbook value. 0 of n ends at z²/(n + z²)."""
    interval = wilson(8, 10)
    assert (interval.value, interval.low, interval.high) == pytest.approx(
        (0.8, 0.4901625, 0.9433178)
    )
    none = wilson(0, 10)
    assert none.low == 0.0
    assert none.high == pytest.approx(3.841459 / 13.841459, rel=1e-5)


def wilson_in_closed_form(successes: int, total: int) -> tuple[float, float, float]:
    """(share + z²/2n ± z sqrt(share (1 - share)/n + z²/4n²)) / (1 + z²/n), within 0..1."""
    share, z = successes / total, Z95
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    root = math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    half = root * z / (1 + z**2 / total)
    return share, max(0.0, centre - half), min(1.0, centre + half)


@pytest.mark.parametrize("total", [1, 2, 3, 10, 97, 1000, 250_000])
def test_wilson_is_the_closed_form(total: int) -> None:
    for successes in sorted({0, 1, total // 3, total // 2, total - 1, total}):
        expected = wilson_in_closed_form(successes, total)
        assert wilson(successes, total) == pytest.approx(expected, rel=0, abs=1e-12)


def test_mean() -> None:
    """1, 2, 3: mean 2, sd 1, half width 1.96/sqrt 3."""
    half = 1.959963985 / math.sqrt(3)
    assert mean([1, 2, 3]) == pytest.approx((2, 2 - half, 2 + half))
    assert mean([5]) == (5, 5, 5)


def test_compare_pairs_by_prompt() -> None:
    """Differences 1, 1, 0, -1: mean 1/4, sd sqrt(11/12); 2 better, 1 worse: p = 1."""
    comparison = compare([0, 0, 1, 1], [1, 1, 1, 0])
    half = 1.959963985 * math.sqrt(11 / 12 / 4)
    assert comparison.difference == pytest.approx((0.25, 0.25 - half, 0.25 + half))
    assert (comparison.better, comparison.worse, comparison.p_value) == (2, 1, 1.0)
    assert comparison.base == wilson(2, 4)
    assert compare([True, False], [True, True]).tuned == wilson(2, 2)


def test_compare_of_fractions_takes_the_normal_interval() -> None:
    assert compare([0.5, 1], [0.25, 1]).base == mean([0.5, 1])


def test_sign_test() -> None:
    """Of 6 all better: 2/64. None: 1."""
    assert sign_test(6, 0) == pytest.approx(2 / 64)
    assert sign_test(0, 0) == 1.0


@given(st.integers(0, 60), st.integers(0, 60))
def test_sign_test_is_the_closed_form(better: int, worse: int) -> None:
    """Twice the smaller tail of the binomial distribution with probability one half, at most 1."""
    total = better + worse
    tail = sum(math.comb(total, k) for k in range(min(better, worse) + 1))
    expected = min(1.0, 2 * tail / 2**total)
    assert sign_test(better, worse) == pytest.approx(expected, rel=0, abs=1e-12)


def test_nothing_to_compare() -> None:
    with pytest.raises(DataError, match="at least one prompt"):
        compare([], [])
    with pytest.raises(DataError, match="can't be paired"):
        compare([1], [])
