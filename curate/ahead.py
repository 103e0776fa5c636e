"""One step ahead: the next item is made in a thread while the last one is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def one_ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items in the same order, at most one of them waiting; raises what `items` raises."""
    source, end = iter(items), object()
    with ThreadPoolExecutor(1, "ahead") as thread:
        coming = thread.submit(next, source, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, source, end)
            yield item  # type: ignore[misc]
            del item  # the caller's only, so that no picture waits here for its successor
