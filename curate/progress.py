"""One progress bar: rows done, rate and remaining time, on stderr, off when that is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tick = Callable[[int], object]
"""Tells that so many more rows are done."""


@contextmanager
def progress(label: str, total: int, done: int = 0, *, show: bool = True) -> Iterator[Tick]:
    """A bar over `total` rows, `done` of them there before; call what it yields with counts."""
    from tqdm import tqdm

    off = not (show and sys.stderr.isatty())
    with tqdm(total=total, initial=done, desc=label, unit="row", disable=off) as bar:
        yield bar.update
