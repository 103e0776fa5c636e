"""Results made ahead of their use: in order, and not too many."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from invdpo.curate.dataset.rows import prefetch, read_ahead


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


def test_one_item_is_made_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(3):
            made.append(number)
            yield number
        raise ZeroDivisionError

    numbers = read_ahead(items())
    for number in range(3):
        assert next(numbers) == number
        assert made[-1] <= number + 1
    with pytest.raises(ZeroDivisionError):
        next(numbers)
    assert list(read_ahead([])) == []
