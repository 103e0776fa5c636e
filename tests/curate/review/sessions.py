"""A review of a small data set, and a server for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

from invdpo.curate.review.decisions import Decisions
from invdpo.curate.review.pairs import ReviewPairs
from invdpo.curate.review.server import ReviewServer
from invdpo.curate.review.session import Session
from invdpo.schemas.tables import Record


def session(work: Path, order: str = "set", *, shown: bool = False) -> Session:
    """Of the set in a workspace, with the table that it lies beside."""
    pairs = ReviewPairs(work / "dataset", order)
    return Session(pairs, Decisions(work / "reviews.parquet", "ann"), "work", open=shown)


@contextmanager
def serving(found: Session) -> Iterator[ReviewServer]:
    """A server on a free port while the context lasts."""
    with ReviewServer(found) as server:
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


def chosen_place(found: Session, number: int) -> str:
    """Where the chosen picture of a pair stands."""
    return "left" if found.pairs.chosen_left(number) else "right"


def other(place: str) -> str:
    return "right" if place == "left" else "left"
