"""Several questions at a time, each in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


class StoppedError(Exception):
    """Raised in threads that have been told to stop."""


class Crowd:
    """At most `size` threads at work.

    They are daemons: one that waits for a server must not keep the process from ending.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._stop = Event()

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than until the work is called off, which raises `StoppedError`."""
        if self._stop.wait(seconds):
            raise StoppedError

    def map(self, work: Callable[[A], B], items: Sequence[A]) -> list[B | Exception]:
        """What came of each item, in order; of those that failed, or were not begun, why."""
        found: list[B | Exception] = [StoppedError() for _ in items]
        waiting: SimpleQueue[int] = SimpleQueue()
        for n in range(len(items)):
            waiting.put(n)
        done: SimpleQueue[None] = SimpleQueue()
        self._stop.clear()

        def labour() -> None:
            try:
                while not self._stop.is_set():
                    n = waiting.get_nowait()
                    try:
                        found[n] = work(items[n])
                    except Exception as error:  # noqa: BLE001 - the caller sorts them
                        found[n] = error
            except Empty:
                pass
            finally:
                done.put(None)

        threads = [Thread(target=labour, daemon=True) for _ in range(min(self._size, len(items)))]
        try:
            for thread in threads:
                thread.start()
            for _ in threads:
                done.get()
        except BaseException:
            self.call_off()
            raise
        return found

    def call_off(self) -> None:
        """Begin nothing more, and wake those that wait for their next try."""
        self._stop.set()
