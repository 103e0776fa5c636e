"""Results made ahead of their use: in order, and not too many."""

from __future__ import annotations

import time

import pytest

from invdpo.curate.dataset.rows import prefetch


def test_order_stays_and_few_wait() -> None:
    begun: list[int] = []

    def double(number: int) -> int:
        begun.append(number)
        time.sleep(0.02 if number % 2 else 0)
        return 2 * number

    for index, result in enumerate(prefetch(double, range(9), 3)):
        assert result == 2 * index
        assert max(begun) <= index + 3
    assert sorted(begun) == list(range(9))
    assert list(prefetch(double, [])) == []


def test_what_the_function_raises_comes_in_its_turn() -> None:
    results = prefetch(lambda number: 6 // number, [3, 2, 0, 1])
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)
