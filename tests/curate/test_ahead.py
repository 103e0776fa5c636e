"""One item ahead, and no more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from invdpo.curate.ahead import one_ahead


def test_order_stays_and_one_item_waits() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            yield number

    for number in one_ahead(source()):
        assert made[-1] <= number + 1
    assert made == [0, 1, 2, 3, 4]
    assert list(one_ahead([None, 0, None])) == [None, 0, None]


def test_what_the_source_raises_comes_in_its_turn() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    items = one_ahead(source())
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)
