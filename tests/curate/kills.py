"""A process to kill: runs one step, tells of every row and every flush, and waits after each.

Run as `python -m tests.curate.kills STEP WORKSPACE MODEL`; a line of its input lets it go on.
"""

from __future__ import annotations

import os
import sys
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
    """Pairs by CLIP: the tiny model's images show nothing, so all facts are equally wrong."""
    return tiny_config(model, pair={"weights": {"clip": 1.0}})


def tell(what: str) -> None:
    """Say it, and wait to be killed for it or to be let go on."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()
    sys.stdin.readline()


def telling(call: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """The same call, telling of every element."""

    def told(self: object, rows: Iterable[Any] = ()) -> Iterator[Any]:
        for element in call(self, *([rows] if rows != () else [])):
            tell("row")
            yield element

    return told


def tell_all() -> None:
    """Make stages and flushes tell."""
    stages: tuple[Any, ...] = (Generate, Annotate, Score, ShapesSource)
    for stage in stages:
        stage.__call__ = telling(stage.__call__)
    rows: Any = PairRows
    rows.tables = telling(PairRows.tables)
    fsync = os.fsync

    def told_fsync(fd: Any) -> None:
        fsync(fd)
        tell("flush")

    os.fsync = told_fsync


if __name__ == "__main__":
    tell_all()
    name, root, model = sys.argv[1:]
    STEPS[name](Workspace(root), configuration(Path(model)), OPTIONS)
