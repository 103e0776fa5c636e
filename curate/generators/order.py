"""Requests in batches of one size, images finished in the background, rows given in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

Numbered = tuple[int, A]
"""With its number among all."""


def batch_by_size(
    requests: Iterable[A], kind: Callable[[A], Hashable], size: int
) -> Iterator[list[Numbered[A]]]:
    """Batches of `size` requests of one kind, each as soon as it is full, the rest at the end.

    Which requests share a batch depends on the requests alone.
    """
    open_: dict[Hashable, list[Numbered[A]]] = {}
    for number, request in enumerate(requests):
        batch = open_.setdefault(kind(request), [])
        batch.append((number, request))
        if len(batch) == size:
            yield open_.pop(kind(request))
    yield from open_.values()


def finish_in_background(batches: Iterable[Sequence[Callable[[], B]]]) -> Iterator[B]:
    """What the calls give, in order; other threads make them while the next batch is generated.

    The batches are generated in this thread, by asking for the next one.
    """
    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1)), "finish") as pool:
        waiting: list[Future[B]] = []
        for batch in batches:
            ready, waiting = waiting, [pool.submit(call) for call in batch]
            yield from (future.result() for future in ready)
        yield from (future.result() for future in waiting)


def restore_order(numbered: Iterable[Numbered[A]]) -> Iterator[A]:
    """Each as soon as all before it are there."""
    held: dict[int, A] = {}
    awaited = 0
    for number, row in numbered:
        held[number] = row
        while awaited in held:
            yield held.pop(awaited)
            awaited += 1
