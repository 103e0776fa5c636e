"""One progress bar, on stderr and only for people."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def bar(total: int, label: str, unit: str, shown: bool) -> tqdm[Any]:
    """A bar with rate and time left; silent when not `shown` or stderr is no terminal."""
    quiet = not shown or not sys.stderr.isatty()
    return tqdm(total=total, desc=label, unit=unit, disable=quiet, leave=False, dynamic_ncols=True)
