"""The order of drawing: shots into batches of one size, rows finished behind, told in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

Numbered = tuple[int, A]
"""With its place among all."""


def batch_by_size(
    shots: Iterable[A], kind: Callable[[A], Hashable], size: int
) -> Iterator[list[Numbered[A]]]:
    """Batches of `size` shots of one kind, each as soon as it is full, those left over at the end.

    Which shots share a batch depends on the shots alone.
    """
    open_: dict[Hashable, list[Numbered[A]]] = {}
    for number, shot in enumerate(shots):
        batch = open_.setdefault(kind(shot), [])
        batch.append((number, shot))
        if len(batch) == size:
            yield open_.pop(kind(shot))
    yield from open_.values()


def finish_in_background(batches: Iterable[Sequence[Callable[[], B]]]) -> Iterator[B]:
    """What the calls give, in order; they are made by other threads while the next batch is drawn.

    The batches are drawn in this thread, by asking for the next one.
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
