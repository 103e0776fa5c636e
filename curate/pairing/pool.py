"""Brings prompts, candidates and scores together: which candidates can be ranked, and why not.

n candidates, in the order of their ids, so that nothing depends on how parts were cut or ordered.


MERGED: Order of ids, and which of them stand twice: fast for ids of one length, as ours are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from invdpo.curate.pairing.reasons import Bools, DropReasons
from invdpo.schemas import DataError
from invdpo.schemas.tables import REJECTED

Floats = NDArray[np.float64]

Ints = NDArray[np.int64]


class Origin(NamedTuple):
    """Seed and model of each candidate."""

    seed: Ints
    """n; -1 where it is not told."""
    model: Ints
    """A number for each (model, revision), n."""


class Pool(NamedTuple):
    """The candidates that every ranked scorer has judged."""

    ids: NDArray[np.object_]
    """Candidate ids, n."""
    prompt: Ints
    """Row of each candidate's prompt in the prompts table, n."""
    look: NDArray[np.object_]
    """Perceptual hashes, n; None where there is none."""
    raw: dict[str, Floats]
    """Raw scores of every scorer, n each; NaN where one that is not ranked has none."""
    origin: Origin | None = None
    """What drew them, where the candidates table tells."""

    def take(self, rows: Ints) -> Pool:
        """Only these candidates, in this order."""
        return Pool(
            self.ids[rows],
            self.prompt[rows],
            self.look[rows],
            {name: values[rows] for name, values in self.raw.items()},
            Origin(*(part[rows] for part in self.origin)) if self.origin else None,
        )


def gather(
    prompts: pa.Table,
    candidates: pa.Table,
    scores: Mapping[str, pa.Table],
    ranked: Collection[str],
    limits: Mapping[str, float] | None = None,
) -> tuple[Pool, DropReasons]:
    """The candidates that can be ranked by all of `ranked`, and why the others were dropped.

    Those whose raw score by a scorer of `limits` is above the limit, or missing, are dropped.
    Raises `DataError` when an id stands twice in a table that it is the key of.
    """
    ids, prompt = candidates["candidate_id"], _rows(candidates["prompt_id"], prompts, "prompt_id")
    order = sorted_rows(ids)
    check_key(candidates, "candidate_id", "candidates")
    sieve = DropReasons(len(candidates))
    sieve.drop(_rejected(candidates), "candidate rejected")
    sieve.drop(prompt < 0, "its prompt is not in the prompts table")
    raw = {name: _scores(sieve, ids, table, name, ranked) for name, table in scores.items()}
    for name, most in (limits or {}).items():
        sieve.drop(np.isnan(raw[name]), f"no {name} score")
        sieve.drop(raw[name] > most, f"{name} over {most:g}")
    pool = Pool(_objects(ids), prompt, _objects(candidates["phash"]), raw, _origin(candidates))
    return pool.take(order[sieve.kept[order]]), sieve


def _origin(candidates: pa.Table) -> Origin | None:
    if not {"seed", "model", "revision"} <= set(candidates.column_names):
        return None
    joined = pc.binary_join_element_wise(
        pc.fill_null(candidates["model"], ""), pc.fill_null(candidates["revision"], ""), "\n"
    )
    model = joined.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    return Origin(pc.fill_null(candidates["seed"], -1).to_numpy().astype(np.int64), model)


def _rows(keys: pa.ChunkedArray, table: pa.Table, key: str, what: str = "prompts") -> Ints:
    """The row of `table` that holds each key, -1 where there is none."""
    if keys.equals(table[key]):  # as steps write them, which is much the fastest
        return np.arange(len(keys))
    check_key(table, key, what)
    found = pc.index_in(keys, value_set=table[key].combine_chunks())
    rows: Ints = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    return rows


def _rejected(table: pa.Table) -> Bools:
    return np.asarray(pc.fill_null(pc.equal(table["status"], REJECTED), False).to_numpy())


def _scores(
    sieve: DropReasons, ids: pa.ChunkedArray, table: pa.Table, name: str, ranked: Collection[str]
) -> Floats:
    """Raw scores aligned with `ids`, n; NaN where missing, which drops when `name` is ranked."""
    row = _rows(ids, table, "candidate_id", f"scores of {name}")
    # One row more than there are, so that index -1 reads "missing" even from an empty table.
    values = np.append(table["score"].to_numpy().astype(np.float64), np.nan)[row]
    rejected = np.append(_rejected(table), False)[row]
    usable = np.isfinite(values) & ~rejected
    if name in ranked:
        sieve.drop(row < 0, f"no {name} score")
        sieve.drop(rejected, f"rejected by {name}")
        sieve.drop(~usable, f"{name} score not finite")
    return np.where(usable, values, np.nan)


def _objects(column: pa.ChunkedArray) -> NDArray[np.object_]:
    return np.asarray(column.to_numpy(), dtype=object)


WORD = 8
"""Bytes that are compared at once."""


def sorted_rows(ids: pa.ChunkedArray) -> Ints:
    """Rows in the order of the ids' bytes, n; rows of equal ids as they came."""
    words = _words(ids)
    if words is None:
        return np.asarray(pc.sort_indices(ids).to_numpy(), dtype=np.int64)
    return np.lexsort(words.T[::-1])


def check_key(table: pa.Table, key: str, what: str) -> None:
    """Raise `DataError` with the ids that stand in more than one row, or when one is missing."""
    ids = table[key]
    if ids.null_count:
        raise DataError(f"{what}: {ids.null_count} rows without {key}. Remake the table.")
    words = _words(ids)
    if words is not None:
        ordered = words[np.lexsort(words.T[::-1])]
        if not (ordered[1:] == ordered[:-1]).all(axis=1).any():
            return
    if doubled := len(table) - pc.count_distinct(ids).as_py():
        counts = pc.value_counts(ids).to_pylist()
        first = [str(row["values"]) for row in counts if row["counts"] > 1][:3]
        text = f"{what}: {doubled} rows repeat the {key} of another row of their table"
        raise DataError(f"{text} ({', '.join(first)}). Remake the table.")


def _words(ids: pa.ChunkedArray) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]] | None:
    """Ids as whole numbers of 8 bytes each that sort as their bytes do, n x length / 8.

    None unless all are of one length that is a multiple of 8.
    """
    array = ids.combine_chunks().cast(pa.large_string())
    length = pc.min_max(pc.binary_length(array)).as_py()
    size = length["min"]
    if array.null_count or not size or size != length["max"] or size % WORD:
        return None
    start = np.frombuffer(array.buffers()[1], np.int64, 1, array.offset * 8)[0]
    data = np.frombuffer(array.buffers()[2], np.uint8, len(array) * size, int(start))
    return np.ascontiguousarray(data.reshape(-1, size)).view(">u8").astype(np.uint64)
