"""The rows of the data set: each pair with its prompt, pictures, graphs, scores and seeds.

Parts of candidates are read one after another, and pictures go from buffer to buffer, so that
memory holds those of one part, not of the set. Where a pair's candidates lie in two parts, the
first picture is kept until the second has come.

n pairs, c candidates in all parts; a candidate's place is its number among all, 0 .. c-1.


MERGED: Candidates of one part with all that is known of each: picture, origin, graph and scores.

MERGED: A few steps ahead: the next results are made in threads while the last one is used.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from invdpo.curate.storage.parts import read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError
from invdpo.schemas.tables import SIDES, dataset_schema

Ints = NDArray[np.int64]


SLICE = 100
"""Pairs whose pictures are copied together."""


class PairRows:
    """Joins pairs with prompts, candidates, graphs and scores, one part of candidates at a time.

    Raises `DataError` when candidates are not in the workspace.
    """

    def __init__(self, ws: Workspace, pairs: pa.Table, annotator: str | None) -> None:
        self._pairs = pairs
        self._prompts = ws.read_table(ws.prompts_path, ["prompt_id", "prompt", "graph"])
        self._prompt_places = pc.index_in(pairs["prompt_id"], value_set=self._prompts["prompt_id"])
        deltas = [name for name in pairs.column_names if name.startswith("delta_")]
        self.scorers = [name.removeprefix("delta_") for name in deltas]
        self._candidates = CandidateRows(ws, self.scorers, annotator)
        self.schema = dataset_schema(self._candidates.scores)
        self._parts = ws.iter_parts(ws.candidates_dir)
        known = [read_part(part, ["candidate_id"])["candidate_id"] for part in self._parts]
        self._ends = np.cumsum([len(ids) for ids in known])
        self._places = _places(pairs, pa.chunked_array([c for ids in known for c in ids.chunks]))

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Split and rows, in the order of the pairs table within the part that completes them."""
        done = self._part_of(self._places.max(axis=1))
        order = np.argsort(done, kind="stable")
        counts = np.bincount(done, minlength=len(self._parts))
        ends = np.cumsum(counts)
        last = np.full(self._ends[-1], -1)
        for side in range(len(SIDES)):
            np.maximum.at(last, self._places[:, side], done)
        held, held_places = self._candidates.none(), np.array([], dtype=np.int64)
        needed = np.unique(self._part_of(self._places)).tolist()
        for number, found in zip(needed, prefetch(self._part, needed), strict=True):
            places = np.arange(self._ends[number] - len(found), self._ends[number])
            pool = pa.concat_tables([held, found]).combine_chunks() if len(held) else found
            known = np.concatenate([held_places, places])
            mine = order[ends[number] - counts[number] : ends[number]]
            yield from self._complete(mine, pool, known)
            keep = last[known] > number
            held, held_places = pool.take(pa.array(np.flatnonzero(keep))), known[keep]

    def _part(self, number: int) -> pa.Table:
        return self._candidates(self._parts[number])

    def _complete(self, rows: Ints, pool: pa.Table, known: Ints) -> Iterator[tuple[str, pa.Table]]:
        """The pairs at `rows`, whose candidates are all in the pool, by split."""
        splits = self._pairs["split"].take(pa.array(rows)).to_numpy(zero_copy_only=False)
        for split in dict.fromkeys(splits.tolist()):
            mine = rows[splits == split]
            for start in range(0, len(mine), SLICE):
                some = mine[start : start + SLICE]
                yield split, self._table(some, pool, np.searchsorted(known, self._places[some]))

    def _table(self, rows: Ints, pool: pa.Table, inside: Ints) -> pa.Table:
        """Rows of the data set; `inside` holds both candidates' rows in the pool, n×2."""
        pairs = self._pairs.take(pa.array(rows))
        place = self._prompt_places.take(pa.array(rows))
        columns: dict[str, Any] = {name: pairs[name] for name in _OF_PAIRS}
        columns |= {name: self._prompts[name].take(place) for name in ("prompt", "graph")}
        for number, side in enumerate(SIDES):
            taken = pool.take(pa.array(inside[:, number]))
            _check_pictures(taken["image"].null_count)
            columns |= {f"{side}_{name}": taken[name] for name in taken.column_names}
            columns[side] = columns.pop(f"{side}_image").cast(self.schema.field(side).type)
        columns |= {name: columns[f"chosen_{name}"] for name in ("model", "revision")}
        return pa.table({name: columns[name] for name in self.schema.names}, schema=self.schema)

    def _part_of(self, places: Ints) -> Ints:
        return np.searchsorted(self._ends, places, side="right")


_OF_PAIRS = ("pair_id", "margin", "prompt_id", "chosen_id", "rejected_id")


def _places(pairs: pa.Table, known: pa.ChunkedArray) -> Ints:
    """Where each pair's candidates are, n×2."""
    found = [pc.index_in(pairs[f"{side}_id"], value_set=known) for side in SIDES]
    lost = pc.or_(pc.is_null(found[0]), pc.is_null(found[1]))
    if count := pc.sum(lost).as_py():
        text = f"{count} of {len(pairs)} pairs name candidates that are not in the workspace."
        raise DataError(f"{text} Make the pairs anew: invdpo curate pair --overwrite")
    return np.stack([column.to_numpy() for column in found], axis=1).astype(np.int64)


def _check_pictures(lost: int) -> None:
    """Raise `DataError` when pictures are not here, as in a workspace that was pulled."""
    if lost:
        raise DataError(
            "Candidates of pairs have no picture here: the data set was pushed without those of "
            "no pair.\nPush it again with --with-candidates and pull that, or draw them anew: "
            "invdpo curate generate WORK --overwrite"
        )


PICTURE = pa.struct([("bytes", pa.large_binary()), ("path", pa.string())])
"""As candidates are held; a part may have more than the 2 GB of pictures that `binary` can."""

KEY = "candidate_id"

ORIGIN = ("seed", "model", "revision")


class CandidateRows:
    """Joins candidates with the graphs of one annotator and the scores of some scorers."""

    def __init__(self, ws: Workspace, scorers: Sequence[str], annotator: str | None) -> None:
        self._ws, self._annotator = ws, annotator
        self._columns = {scorer: self._components(scorer) for scorer in scorers}
        self.scores = [
            name
            for scorer, parts in self._columns.items()
            for name in (scorer, *(f"{scorer}_{part}" for part in parts))
        ]
        """Columns of scores: each scorer itself, then its components (`composition_sg_iou`)."""

    def __call__(self, part: Path) -> pa.Table:
        """All rows of a part. Raises `WorkspaceError` for tables that are not there."""
        table = read_part(part, [KEY, "image", *ORIGIN])
        ids, columns = table[KEY], {name: table[name] for name in ORIGIN}
        columns |= {"image": table["image"].cast(PICTURE), "graph": self._graphs(part.name, ids)}
        for scorer, parts in self._columns.items():
            columns |= self._scores(scorer, parts, part.name, ids)
        schema = self._schema()
        return pa.table({name: columns[name] for name in schema.names}, schema).combine_chunks()

    def none(self) -> pa.Table:
        """No rows of the same columns."""
        return self._schema().empty_table()

    def _schema(self) -> pa.Schema:
        return pa.schema(
            [
                ("image", PICTURE),
                ("seed", pa.int64()),
                ("model", pa.string()),
                ("revision", pa.string()),
                ("graph", pa.string()),
                *((name, pa.float64()) for name in self.scores),
            ]
        )

    def _graphs(self, part: str, ids: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
        if self._annotator is None:
            return pa.nulls(len(ids), pa.string())
        path = self._ws.need(self._ws.annotations_dir(self._annotator) / part)
        return _joined(read_part(path, [KEY, "graph"]), ids)["graph"]

    def _scores(
        self, scorer: str, parts: Sequence[str], part: str, ids: pa.ChunkedArray
    ) -> dict[str, pa.ChunkedArray]:
        path = self._ws.need(self._ws.scores_dir(scorer) / part)
        found = _joined(read_part(path, [KEY, "score", "components"]), ids)
        columns = {scorer: found["score"]}
        for name in parts:
            columns[f"{scorer}_{name}"] = pc.map_lookup(found["components"], name, "first")
        return columns

    def _components(self, scorer: str) -> list[str]:
        names: set[str] = set()
        for part in self._ws.iter_parts(self._ws.scores_dir(scorer)):
            column = read_part(part, ["components"])["components"].combine_chunks()
            names |= set(pc.unique(column.keys).to_pylist())
        return sorted(names)


def _joined(table: pa.Table, ids: pa.ChunkedArray) -> pa.Table:
    """The rows of a table that belong to these candidates; nulls where it has none."""
    return table.take(pc.index_in(ids, value_set=table[KEY]))


A = TypeVar("A")

B = TypeVar("B")


def prefetch(function: Callable[[A], B], items: Iterable[A], depth: int = 2) -> Iterator[B]:
    """`function` of each item, in order, at most `depth` results waiting; raises what it raises."""
    source = iter(items)
    with ThreadPoolExecutor(depth, "ahead") as threads:
        coming: deque[Future[B]] = deque(
            threads.submit(function, item) for item in islice(source, depth)
        )
        while coming:
            result = coming.popleft().result()
            coming.extend(threads.submit(function, item) for item in islice(source, 1))
            yield result
            del result  # the caller's only, so that no picture waits here for its successor
