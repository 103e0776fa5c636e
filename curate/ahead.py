"""A few steps ahead: the next results are made in threads while the last one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def ahead(function: Callable[[A], B], items: Iterable[A], depth: int = 2) -> Iterator[B]:
    """`function` of each item, in order, at most `depth` results waiting; raises what it raises."""
    source = iter(items)
    with ThreadPoolExecutor(depth, "ahead") as threads:
        coming: deque[Future[B]] = deque(
            threads.submit(function, item) for item in islice(source, depth)
        )
        while coming:
            result = coming.popleft().result()
            coming.extend(threads.submit(function, item) for item in islice(source, 1))
            yield result
            del result  # the caller's only, so that no picture waits here for its successor
