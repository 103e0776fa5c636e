"""How long a call takes, for estimates before a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

CALLS, ENOUGH = 8, 2.0
"""Most calls that are timed, and seconds after which no further one is."""


def fastest(call: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds of the fastest call after a first one to warm up, and the last call's result.

    The fastest, because other programs may use the machine meanwhile.
    """
    seconds: list[float] = []
    while True:
        began = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - began)
        if len(seconds) >= 2 and (len(seconds) == CALLS or sum(seconds) >= ENOUGH):
            return min(seconds[1:]), result
