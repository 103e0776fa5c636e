"""Ctrl-C and SIGTERM during work that first brings itself to a state from which it can continue."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """The work stopped because it was asked to; the text says what was saved."""

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text)
        self.number = number
        """Of the signal."""


@dataclass
class StopRequest:
    """Whether a signal has asked for a stop, and which one."""

    number: int = 0

    def __bool__(self) -> bool:
        return self.number != 0


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """While it lasts, the first Ctrl-C or SIGTERM only asks; the second one stops at once.

    Outside the main thread, which alone receives signals, nothing changes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    # a handler that Python did not set can't be set again
    known = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in known.items() if handler is not None}

    def ask(number: int, frame: FrameType | None) -> None:
        request.number = number
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield request
    finally:
        restore()
