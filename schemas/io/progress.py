"""The progress bar of every long task: on stderr, and only where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Tick = Callable[[int], object]
"""Is told how many more rows are done."""


@contextmanager
def progress_bar(
    label: str, total: int, *, unit: str = "row", done: int = 0, show: bool = True
) -> Iterator[Any]:
    """A bar over `total` units with rate and time left, `done` of them from before.

    Call `update(n)` on what it yields, and `set_postfix` for a figure beside the bar.
    """
    from tqdm import tqdm

    with tqdm(
        total=total,
        initial=done,
        desc=label,
        unit=unit,
        disable=not (show and sys.stderr.isatty()),
        leave=False,
        dynamic_ncols=True,
    ) as bar:
        yield bar
