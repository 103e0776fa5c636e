"""One bad element costs only itself; a wrong set-up costs nothing but the run."""

from collections.abc import Sequence

import pytest

from invdpo.curate.batching import Failure, attempt
from invdpo.schemas import DataError, ModelError


def halves(numbers: Sequence[int]) -> list[float]:
    return [1 / n for n in numbers]


def test_good_batch_and_empty_batch() -> None:
    assert attempt(halves, [1, 2]) == [1, 0.5]
    assert attempt(halves, []) == []


def test_the_bad_one_alone_fails() -> None:
    assert attempt(halves, [1, 0, 2]) == [1, Failure("ZeroDivisionError: division by zero"), 0.5]
    assert attempt(halves, [0]) == [Failure("ZeroDivisionError: division by zero")]


def test_failure_of_all_stops() -> None:
    with pytest.raises(ModelError, match="all of 2 inputs"):
        attempt(halves, [0, 0])


def test_errors_of_ours_pass() -> None:
    def refuse(_: Sequence[int]) -> list[int]:
        raise DataError("no")

    with pytest.raises(DataError):
        attempt(refuse, [1, 2])
