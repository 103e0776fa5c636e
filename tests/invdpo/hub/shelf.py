"""A Hub with one set pushed, and what tests of pulls do with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invdpo.hub.pull import PullResult, pull_set
from invdpo.hub.push import PushOptions, push_set
from tests.hub_server import HubServer


@dataclass(frozen=True)
class Shelf:
    """A Hub with one set pushed, and the workspace it came from."""

    hub: HubServer
    work: Path


def push(work: Path, repo: str = "lab/set", **options: Any) -> None:
    push_set(work, repo, PushOptions(**options), note=lambda _: None)


def pull(output: Path, repo: str = "lab/set", revision: str | None = None) -> PullResult:
    return pull_set(repo, output, revision, note=lambda _: None)


def tables(root: Path) -> dict[str, Path]:
    found = [path for path in root.rglob("*.parquet") if "candidates" not in path.parts]
    return {path.relative_to(root).as_posix(): path for path in found}
