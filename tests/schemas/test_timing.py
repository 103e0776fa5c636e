"""Estimates take the fastest of several calls, and stop when that took long enough."""

from __future__ import annotations

import pytest

from invdpo.schemas import timing
from invdpo.schemas.timing import CALLS, fastest


class Clock:
    """A clock that moves as each call says."""

    def __init__(self, *seconds: float) -> None:
        self.now, self.calls = 0.0, iter(seconds)
        self.made = 0

    def perf_counter(self) -> float:
        return self.now

    def call(self) -> int:
        self.now += next(self.calls)
        self.made += 1
        return self.made


@pytest.mark.parametrize(
    ("seconds", "expected", "calls"),
    [
        ((0.01, 0.04, 0.03, *[0.05] * (CALLS - 3)), 0.03, CALLS),
        ((9.0, 8.0), 8.0, 2),
        ((0.1, 0.9, 0.5, 0.6), 0.5, 4),
    ],
)
def test_the_fastest_call_after_the_first(
    seconds: tuple[float, ...], expected: float, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(*seconds)
    monkeypatch.setattr(timing, "time", clock)
    found, made = fastest(clock.call)
    assert found == pytest.approx(expected)
    assert made == calls
