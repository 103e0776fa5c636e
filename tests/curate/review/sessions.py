"""A review of a small dataset, and a server for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

from invdpo.curate.review.decisions import Decisions
from invdpo.curate.review.queue import ReviewPairs
from invdpo.curate.review.server import ReviewServer
from invdpo.curate.review.session import Session
from invdpo.schemas.tables import Record


def session(work: Path, order: str = "set", *, shown: bool = False) -> Session:
    """Of the dataset in a workspace, with the workspace's table of decisions."""
    pairs = ReviewPairs(work / "dataset", order)
    return Session(pairs, Decisions(work / "reviews.parquet", "ann"), "work", show_sides=shown)


@contextmanager
def serving(review: Session) -> Iterator[ReviewServer]:
    """A server on a free port while the context lasts."""
    with ReviewServer(review) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def table(work: Path) -> list[Record]:
    """The rows on disk."""
    path = work / "reviews.parquet"
    rows: list[Record] = pq.read_table(path).to_pylist() if path.exists() else []
    return rows


def chosen_position(review: Session, number: int) -> str:
    """Where the page shows the chosen image of a pair."""
    return "left" if review.pairs.chosen_left(number) else "right"


def opposite(position: str) -> str:
    return "right" if position == "left" else "left"
