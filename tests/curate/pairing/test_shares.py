"""Shares in whole numbers: largest remainders in closed form, and cells of several kinds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invdpo.curate.pairing.shares import Cell, Shares, allocate, apportion, largest_size, unfilled


@pytest.mark.parametrize(
    ("total", "shares", "expected"),
    [
        (10, [0.5, 0.3, 0.2], [5, 3, 2]),
        (10, [1, 1, 1], [4, 3, 3]),  # equal remainders: the first one wins
        (7, [0.6, 0.4], [4, 3]),  # 4.2 and 2.8
        (1, [0.2, 0.5, 0.3], [0, 1, 0]),
        (5570, [0.3, 0.7, 0.0], [1671, 3899, 0]),
    ],
)
def test_largest_remainder(total: int, shares: list[float], expected: list[int]) -> None:
    assert apportion(total, shares) == expected


@given(st.integers(0, 10_000), st.lists(st.integers(0, 100), min_size=1, max_size=8).filter(any))
def test_seats_sum_and_stay_within_one_of_the_quota(total: int, parts: list[int]) -> None:
    seats = apportion(total, [float(part) for part in parts])
    assert sum(seats) == total
    for seat, part in zip(seats, parts, strict=True):
        assert abs(seat - total * part / sum(parts)) < 1 + 1e-6


def test_what_is_left_of_a_kind_is_its_rest() -> None:
    shares = Shares({"objects.2": 0.3})
    wanted = {stratum.key: n for stratum, n in shares.wanted(10).items()}
    assert wanted == {"objects.2": 3, "other objects": 7}
    assert shares.cell({"objects": "3"}) == ("",)
    assert largest_size({("2",): 30, ("",): 700}, shares) == 101  # 30.3 and 70.7 make 30 and 71
    assert largest_size({("2",): 30, ("",): 0}, shares) == 0
    assert unfilled({("2",): 1, ("",): 9}, shares.wanted(10)) == {"objects.2": (3, 1)}


def test_several_kinds_are_met_together() -> None:
    shares = Shares({"objects.2": 0.5, "relation.spatial": 0.5})
    available: dict[Cell, int] = {
        ("2", "spatial"): 100,
        ("2", ""): 4,
        ("", "spatial"): 4,
        ("", ""): 100,
    }
    counts = allocate(available, shares.wanted(40))
    assert counts is not None
    assert all(counts[cell] <= available[cell] for cell in available)
    assert counts["2", "spatial"] + counts["2", ""] == 20
    assert counts["2", "spatial"] + counts["", "spatial"] == 20
    # Each margin could be had, but not both: what has two objects is never spatial here.
    apart: dict[Cell, int] = {
        ("2", "spatial"): 0,
        ("2", ""): 100,
        ("", "spatial"): 100,
        ("", ""): 0,
    }
    shares = Shares({"objects.2": 0.75, "relation.spatial": 0.75})
    assert unfilled(apart, shares.wanted(40)) == {}
    assert allocate(apart, shares.wanted(40)) is None
    assert largest_size(apart, shares) < 4


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_the_largest_set_can_be_had(data: st.DataObject) -> None:
    count = st.integers(0, 40)
    available: dict[Cell, int] = {
        (a, b): data.draw(count) for a in ("2", "") for b in ("spatial", "none", "")
    }
    share = st.sampled_from([0.1, 0.25, 0.4, 0.5])
    shares = Shares(
        {
            "objects.2": data.draw(share),
            "relation.spatial": data.draw(share),
            "relation.none": data.draw(share),
        }
    )
    size = largest_size(available, shares)
    if size:
        counts = allocate(available, shares.wanted(size))
        assert counts is not None
        assert sum(counts.values()) == size
        for stratum, wanted in shares.wanted(size).items():
            assert sum(n for cell, n in counts.items() if stratum.holds(cell)) == wanted
