"""A process to kill: runs one step, tells of every row and every flush, and dawdles after each.

Run as `python killable.py STEP WORKSPACE MODEL`. The dawdling is here and not in the product.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from invdpo.curate import steps
from invdpo.curate.annotate import Annotate
from invdpo.curate.dataset.rows import PairRows
from invdpo.curate.generate import Generate
from invdpo.curate.prompts.shapes import ShapesSource
from invdpo.curate.runner import RunOptions
from invdpo.curate.score import Score
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from tests.curate.tiny import tiny_config

STEPS: dict[str, Callable[..., Any]] = {
    "prompts": steps.make_prompts,
    "generate": steps.generate,
    "annotate": steps.annotate,
    "score": steps.score,
    "pair": steps.pair,
}
OPTIONS = RunOptions(part_size=3, progress=False)


def configuration(model: Path) -> Config:
    """Pairs by CLIP: the tiny model's pictures show nothing, so all facts are equally wrong."""
    return tiny_config(model, pair={"weights": {"clip": 1.0}})


def tell(what: str) -> None:
    """Say it, and leave time to be killed for it."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()
    time.sleep(0.05)


def telling(call: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """The same call, telling of every element."""

    def slow(self: object, rows: Iterable[Any] = ()) -> Iterator[Any]:
        for element in call(self, *([rows] if rows != () else [])):
            tell("row")
            yield element

    return slow


def slow_down() -> None:
    """Make stages and flushes tell and dawdle."""
    stages: tuple[Any, ...] = (Generate, Annotate, Score, ShapesSource)
    for stage in stages:
        stage.__call__ = telling(stage.__call__)
    rows: Any = PairRows
    rows.tables = telling(PairRows.tables)
    fsync = os.fsync

    def slow_fsync(fd: Any) -> None:
        fsync(fd)
        tell("flush")

    os.fsync = slow_fsync


if __name__ == "__main__":
    slow_down()
    name, root, model = sys.argv[1:]
    STEPS[name](Workspace(root), configuration(Path(model)), OPTIONS)
