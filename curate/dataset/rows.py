"""The rows of the dataset: each pair with its prompt, images, graphs, scores and seeds.

Parts of candidates are read one after another, and images go from buffer to buffer, so that memory
holds those of one part and of the next ones that are read ahead, not of the entire set. Where a
pair's candidates are in two parts, the first image is kept until the second has come.

n pairs, c candidates in all parts; a candidate's position is its number among all, 0 .. c-1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice, repeat, takewhile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from invdpo.curate.storage.parts import read_part
from invdpo.curate.storage.urls import is_remote
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError
from invdpo.schemas.io.files import drop_cached
from invdpo.schemas.tables import SIDES, dataset_schema

Ints = NDArray[np.int64]
T = TypeVar("T")
Result = TypeVar("Result")

MANY_BYTES = 1 << 30
"""Bytes of candidates from which on files are dropped from memory when they are done with.

Each is read or written once. Without that they push out what other programs hold in memory, and
the system spends more time on finding room for them than copying takes.
"""
BATCH_PAIRS = 100
"""Pairs whose images are copied together."""
PAIR_COLUMNS = ("pair_id", "margin", "prompt_id", "chosen_id", "rejected_id")
KEY = "candidate_id"
ORIGIN = ("seed", "model", "revision")
LARGE_IMAGE = pa.struct([("bytes", pa.large_binary()), ("path", pa.string())])
"""As candidates are held; a part may have more than the 2 GB of images that `binary` can."""


class PairRows:
    """Joins pairs with prompts, candidates, graphs and scores, one part of candidates at a time.

    Raises `DataError` when candidates are not in the workspace.
    """

    def __init__(self, ws: Workspace, pairs: pa.Table, annotator: str | None) -> None:
        self._pairs = pairs
        self._prompts = ws.read_table(ws.prompts_path, ["prompt_id", "prompt", "graph"])
        self._prompt_indices = pc.index_in(pairs["prompt_id"], value_set=self._prompts["prompt_id"])
        deltas = [name for name in pairs.column_names if name.startswith("delta_")]
        self.scorers = [name.removeprefix("delta_") for name in deltas]
        self._candidates = CandidateRows(ws, self.scorers, annotator)
        self.schema = dataset_schema(self._candidates.scores)
        self._parts = ws.iter_parts(ws.candidates_dir)
        local = [part for part in self._parts if not is_remote(part)]
        self.many = sum(part.stat().st_size for part in local) > MANY_BYTES
        """Whether there are so many images that none should stay in memory."""
        ids = [read_part(part, [KEY])[KEY] for part in self._parts]
        self._ends = np.cumsum([len(column) for column in ids])
        chunks = [chunk for column in ids for chunk in column.chunks]
        self._positions = _candidate_positions(pairs, pa.chunked_array(chunks))

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Split and rows, in the order of the pairs table within the part that completes them."""
        completed_in = self._part_of(self._positions.max(axis=1))
        order = np.argsort(completed_in, kind="stable")
        counts = np.bincount(completed_in, minlength=len(self._parts))
        ends = np.cumsum(counts)
        last_use = np.full(self._ends[-1], -1)
        for side in range(len(SIDES)):
            np.maximum.at(last_use, self._positions[:, side], completed_in)
        kept, kept_positions = self._candidates.empty(), np.array([], dtype=np.int64)
        needed = np.unique(self._part_of(self._positions)).tolist()
        for number, part in zip(needed, prefetch(self._read_part, needed), strict=True):
            positions = np.arange(self._ends[number] - len(part), self._ends[number])
            pool = pa.concat_tables([kept, part]).combine_chunks() if len(kept) else part
            pool_positions = np.concatenate([kept_positions, positions])
            complete = order[ends[number] - counts[number] : ends[number]]
            yield from self._by_split(complete, pool, pool_positions)
            keep = last_use[pool_positions] > number
            kept = pool.take(pa.array(np.flatnonzero(keep)))
            kept_positions = pool_positions[keep]

    def _read_part(self, number: int) -> pa.Table:
        part = self._parts[number]
        table = self._candidates(part)
        if self.many and not is_remote(part):
            drop_cached(part)
        return table

    def _by_split(
        self, pairs: Ints, pool: pa.Table, pool_positions: Ints
    ) -> Iterator[tuple[str, pa.Table]]:
        """The `pairs`, whose candidates are all in the pool, by split."""
        splits = self._pairs["split"].take(pa.array(pairs)).to_numpy(zero_copy_only=False)
        for split in dict.fromkeys(splits.tolist()):
            of_split = pairs[splits == split]
            for start in range(0, len(of_split), BATCH_PAIRS):
                batch = of_split[start : start + BATCH_PAIRS]
                pool_rows = np.searchsorted(pool_positions, self._positions[batch])
                yield split, self._table(batch, pool, pool_rows)

    def _table(self, pairs: Ints, pool: pa.Table, pool_rows: Ints) -> pa.Table:
        """Rows of the dataset; `pool_rows` holds both candidates' rows in the pool, n×2."""
        table = self._pairs.take(pa.array(pairs))
        prompt_rows = self._prompt_indices.take(pa.array(pairs))
        columns: dict[str, Any] = {name: table[name] for name in PAIR_COLUMNS}
        columns |= {name: self._prompts[name].take(prompt_rows) for name in ("prompt", "graph")}
        for number, side in enumerate(SIDES):
            candidates = pool.take(pa.array(pool_rows[:, number]))
            _check_images(candidates["image"].null_count)
            columns |= {f"{side}_{name}": candidates[name] for name in candidates.column_names}
            columns[side] = columns.pop(f"{side}_image").cast(self.schema.field(side).type)
        columns |= {name: columns[f"chosen_{name}"] for name in ("model", "revision")}
        return pa.table({name: columns[name] for name in self.schema.names}, schema=self.schema)

    def _part_of(self, positions: Ints) -> Ints:
        return np.searchsorted(self._ends, positions, side="right")


def _candidate_positions(pairs: pa.Table, candidate_ids: pa.ChunkedArray) -> Ints:
    """The position of each pair's candidates, n×2."""
    columns = [pc.index_in(pairs[f"{side}_id"], value_set=candidate_ids) for side in SIDES]
    missing = pc.or_(pc.is_null(columns[0]), pc.is_null(columns[1]))
    if count := pc.sum(missing).as_py():
        text = f"{count} of {len(pairs)} pairs refer to candidates that are not in the workspace."
        raise DataError(f"{text} Choose the pairs again: invdpo curate pair --overwrite")
    return np.stack([column.to_numpy() for column in columns], axis=1).astype(np.int64)


def _check_images(missing: int) -> None:
    """Raise `DataError` when images are not here, as in a workspace that was pulled."""
    if missing:
        raise DataError(
            "Some candidates have no image: the dataset was pushed with the images of pairs "
            "only.\nPush it again with --with-candidates and pull it again, or generate the "
            "images again: invdpo curate generate WORK --repair"
        )


class CandidateRows:
    """Joins candidates with the graphs of one annotator and the scores of some scorers."""

    def __init__(self, ws: Workspace, scorers: Sequence[str], annotator: str | None) -> None:
        self._ws, self._annotator = ws, annotator
        self._components = {scorer: self._component_names(scorer) for scorer in scorers}
        self.scores = [
            name
            for scorer, components in self._components.items()
            for name in (scorer, *(f"{scorer}_{component}" for component in components))
        ]
        """Columns of scores: each scorer itself, then its components (`composition_sg_iou`)."""

    def __call__(self, part: Path) -> pa.Table:
        """All rows of a part. Raises `WorkspaceError` for tables that are not there."""
        table = read_part(part, [KEY, "image", *ORIGIN])
        ids, columns = table[KEY], {name: table[name] for name in ORIGIN}
        columns |= {
            "image": table["image"].cast(LARGE_IMAGE),
            "graph": self._graphs(part.name, ids),
        }
        for scorer, components in self._components.items():
            columns |= self._scores(scorer, components, part.name, ids)
        schema = self._schema()
        return pa.table({name: columns[name] for name in schema.names}, schema).combine_chunks()

    def empty(self) -> pa.Table:
        """A table of the same columns without rows."""
        return self._schema().empty_table()

    def _schema(self) -> pa.Schema:
        return pa.schema(
            [
                ("image", LARGE_IMAGE),
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
        return _align(read_part(path, [KEY, "graph"]), ids)["graph"]

    def _scores(
        self, scorer: str, components: Sequence[str], part: str, ids: pa.ChunkedArray
    ) -> dict[str, pa.ChunkedArray]:
        path = self._ws.need(self._ws.scores_dir(scorer) / part)
        table = _align(read_part(path, [KEY, "score", "components"]), ids)
        columns = {scorer: table["score"]}
        for name in components:
            columns[f"{scorer}_{name}"] = pc.map_lookup(table["components"], name, "first")
        return columns

    def _component_names(self, scorer: str) -> list[str]:
        names: set[str] = set()
        for part in self._ws.iter_parts(self._ws.scores_dir(scorer)):
            column = read_part(part, ["components"])["components"].combine_chunks()
            names |= set(pc.unique(column.keys).to_pylist())
        return sorted(names)


def _align(table: pa.Table, ids: pa.ChunkedArray) -> pa.Table:
    """The rows of a table that belong to these candidates; nulls where it has none."""
    return table.take(pc.index_in(ids, value_set=table[KEY]))


def prefetch(
    function: Callable[[T], Result], items: Iterable[T], depth: int = 2
) -> Iterator[Result]:
    """`function` of each item, in order, made in threads while the one before is used.

    At most `depth` results wait. Raises what `function` raises, in its turn.
    """
    remaining = iter(items)
    with ThreadPoolExecutor(depth, "prefetch") as threads:
        waiting: deque[Future[Result]] = deque(
            threads.submit(function, item) for item in islice(remaining, depth)
        )
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(threads.submit(function, item) for item in islice(remaining, 1))
            yield result
            del result  # the caller's only, so that no image waits here for its successor


def read_ahead(items: Iterable[T]) -> Iterator[T]:
    """The same, each made in a thread while the one before is used."""
    remaining = iter(items)
    made = prefetch(lambda _: list(islice(remaining, 1)), repeat(None), depth=1)
    return chain.from_iterable(takewhile(bool, made))
