"""One progress bar: rows done, rate and remaining time, on stderr, off when that is no terminal.

MERGED: One progress bar, on stderr and only for people.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

Tick = Callable[[int], object]
"""Tells that so many more rows are done."""


@contextmanager
def progress(label: str, total: int, done: int = 0, *, show: bool = True) -> Iterator[Tick]:
    """A bar over `total` rows, `done` of them there before; call what it yields with counts."""
    from tqdm import tqdm

    off = not (show and sys.stderr.isatty())
    with tqdm(total=total, initial=done, desc=label, unit="row", disable=off) as bar:
        yield bar.update


def progress_bar(total: int, label: str, unit: str, shown: bool) -> tqdm[Any]:
    """A bar with rate and time left; silent when not `shown` or stderr is no terminal."""
    quiet = not shown or not sys.stderr.isatty()
    return tqdm(total=total, desc=label, unit=unit, disable=quiet, leave=False, dynamic_ncols=True)
