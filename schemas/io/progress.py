"""The progress of every long task, on stderr: a bar where people look at it, else lines.

A terminal and a notebook get a bar. A log of a batch system, a container or CI gets a line now and
then; tasks that end before the first one is due say nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from invdpo.schemas.io.logs import log_to_file, settings

EVERY = 30.0
"""Seconds between two lines."""

Tick = Callable[[int], object]
"""Called with how many more rows are done."""


class Progress(Protocol):
    """What a task reports of itself."""

    def update(self, n: int = 1) -> object:
        """So many more units are done."""

    def set_postfix(self, ordered_dict: Mapping[str, str], refresh: bool = False) -> object:
        """Figures beside the progress."""


@contextmanager
def progress_bar(
    label: str, total: int, *, unit: str = "row", done: int = 0, show: bool = True
) -> Iterator[Progress]:
    """Progress over `total` units with rate and time left, `done` of them from before."""
    from tqdm.auto import tqdm

    on_terminal = show and not settings.quiet
    bar = on_terminal and (sys.stderr.isatty() or "ipykernel" in sys.modules)
    lines = ProgressLines(label, total, unit, done, show=on_terminal and not bar)
    if not bar:
        yield lines
        return
    with tqdm(
        total=total, initial=done, desc=label, unit=unit, leave=False, dynamic_ncols=True
    ) as shown:
        yield Several(shown, lines)


class Several:
    """Passes the progress of a task to several displays."""

    def __init__(self, *members: Progress) -> None:
        self._members = members

    def update(self, n: int = 1) -> None:
        """So many more units are done."""
        for member in self._members:
            member.update(n)

    def set_postfix(self, ordered_dict: Mapping[str, str], refresh: bool = False) -> None:
        """Figures beside the progress."""
        for member in self._members:
            member.set_postfix(ordered_dict, refresh)


class ProgressLines:
    """A line every `EVERY` seconds: done of total, share, rate, time left, figures.

    It is shown on stderr where that is asked for, and goes to the log file. Rows of a batch come
    one by one but all at once, so the first of them has no rate, and the first of a later batch
    is not counted: its line says what was done when the batch before it came.
    """

    def __init__(self, label: str, total: int, unit: str, done: int, *, show: bool = True) -> None:
        self._show = show
        self._label, self._total, self._unit, self._done = label, total, unit, done
        self._first, self._began = done, time.monotonic()
        self._last = self._began
        self._due, self._figures = self._began + EVERY, dict[str, str]()

    def set_postfix(self, ordered_dict: Mapping[str, str], refresh: bool = False) -> None:
        """Figures of the next line."""
        self._figures = dict(ordered_dict)

    def update(self, n: int = 1) -> None:
        """Count, and write a line when one is due."""
        before, now = self._done - self._first, time.monotonic()
        self._done += n
        if now >= self._due:
            self._due = now + EVERY
            pause, usual = now - self._last, (self._last - self._began) / max(before, 1)
            begins = n == 1 and before > 1 and pause > 2 * usual
            line = self._line(self._done - begins, self._last if begins else now)
            log_to_file(line, "invdpo.progress")
            if self._show:
                sys.stderr.write(line + "\n")
                sys.stderr.flush()
        self._last = now

    def _line(self, done: int, at: float) -> str:
        made = done - self._first
        rate = made / max(at - self._began, 1e-9)
        share = f"{done / self._total:.0%}" if self._total else "?"
        figures = "".join(f", {name} {value}" for name, value in self._figures.items())
        count = f"{done:,} of {self._total:,} ({share})"
        if made <= 1:
            return f"{self._label}: {count}, time left unknown{figures}"
        speed = f"{rate:.2f} {self._unit}s/s" if rate >= 1 else f"{1 / rate:.1f} s/{self._unit}"
        left = _minutes((self._total - done) / rate)
        return f"{self._label}: {count}, {speed}, {left} left{figures}"


def _minutes(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours:d}:{rest // 60:02d}:{rest % 60:02d}"
