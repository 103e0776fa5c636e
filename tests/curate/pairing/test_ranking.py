"""Common scales: closed forms, and ranks against SciPy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from invdpo.curate.pairing.ranking import normalise, ranks, standardise_all


def test_over_all_candidates() -> None:
    """Of 1, 3, 5, 7: mean 4, sd sqrt 5, whichever prompts they are of."""
    found = standardise_all(np.array([1, 3, 5, 7.0]), np.array([0, 0, 1, 2]), 3)
    assert found == pytest.approx(np.array([-3, -1, 1, 3]) / np.sqrt(5))


def test_ranks_share_their_places() -> None:
    """Of 5, 1, 1: places 2, .5, .5 of 0 .. 2. One candidate alone stands in the middle."""
    values, prompt = np.array([5, 1, 1, 9, 4, 4.0]), np.array([0, 0, 0, 1, 2, 2])
    assert ranks(values, prompt, 4).tolist() == [1, 0.25, 0.25, 0.5, 0.5, 0.5]


def test_rounding_makes_no_rank() -> None:
    values = np.array([0.3, 0.3 + 1e-9, 0.4])
    assert ranks(values, np.zeros(3, int), 1).tolist() == [0.25, 0.25, 1]


@pytest.mark.parametrize("kind", ["prompt", "global", "rank"])
def test_what_is_not_known_touches_no_other(kind: str) -> None:
    prompt = np.array([0, 0, 0, 1, 1])
    with_gaps = normalise(kind, np.array([1, np.nan, 2, 5, 7.0]), prompt, 2)
    known = np.isfinite(with_gaps)
    assert known.tolist() == [True, False, True, True, True]
    without = normalise(kind, np.array([1, 2, 5, 7.0]), prompt[known], 2)
    assert with_gaps[known].tolist() == without.tolist()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5)), max_size=30))
def test_ranks_are_those_of_scipy(rows: list[tuple[int, int]]) -> None:
    prompt = np.array([p for p, _ in rows], dtype=np.int64)
    values = np.array([float(v) for _, v in rows])
    found = ranks(values, prompt, 4)
    for p in range(4):
        of_prompt = values[prompt == p]
        if len(of_prompt) > 1:
            assert found[prompt == p] == pytest.approx(
                (rankdata(of_prompt) - 1) / (len(of_prompt) - 1)
            )
