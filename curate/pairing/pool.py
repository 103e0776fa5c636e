"""Brings prompts, candidates and scores together: which candidates can be ranked, and why not.

n candidates, in the order of their ids, so that nothing depends on how parts were cut or ordered.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from invdpo.schemas import DataError
from invdpo.schemas.tables import REJECTED

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


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


class Sieve:
    """Notes for each of n rows the first reason to drop it."""

    def __init__(self, size: int) -> None:
        self._reasons: list[str] = []
        self._code = np.full(size, -1, dtype=np.int64)

    def drop(self, rows: Bools, reason: str) -> None:
        """Drop rows (n booleans) that are still kept."""
        self._code[rows & (self._code < 0)] = len(self._reasons)
        self._reasons.append(reason)

    @property
    def kept(self) -> Bools:
        """Rows without a reason, n booleans."""
        return self._code < 0

    def counts(self) -> dict[str, int]:
        """How many rows each reason dropped, in the order they were tried, zeros left out."""
        found = np.bincount(self._code[~self.kept], minlength=len(self._reasons))
        return {name: int(n) for name, n in zip(self._reasons, found, strict=True) if n}

    def reasons(self) -> NDArray[np.object_]:
        """Each row's reason, None where it is kept."""
        return np.array([*self._reasons, None], dtype=object)[self._code]


def gather(
    prompts: pa.Table,
    candidates: pa.Table,
    scores: Mapping[str, pa.Table],
    ranked: Collection[str],
    limits: Mapping[str, float] | None = None,
) -> tuple[Pool, dict[str, int]]:
    """The candidates that can be ranked by all of `ranked`, and how many were dropped and why.

    Those whose raw score by a scorer of `limits` is above the limit, or missing, are dropped.
    Raises `DataError` when an id stands twice in a table that it is the key of.
    """
    candidates = candidates.select(["candidate_id", "prompt_id", "phash", "status"])
    ids, prompt = candidates["candidate_id"], _rows(candidates["prompt_id"], prompts, "prompt_id")
    _check_key(candidates, "candidate_id")
    sieve = Sieve(len(candidates))
    sieve.drop(_rejected(candidates), "candidate rejected")
    sieve.drop(prompt < 0, "its prompt is not in the prompts table")
    raw = {name: _scores(sieve, ids, table, name, ranked) for name, table in scores.items()}
    for name, most in (limits or {}).items():
        sieve.drop(np.isnan(raw[name]), f"no {name} score")
        sieve.drop(raw[name] > most, f"{name} over {most:g}")
    order = pc.sort_indices(ids).to_numpy()
    order = order[sieve.kept[order]]
    pool = Pool(
        ids=_objects(ids)[order],
        prompt=prompt[order],
        look=_objects(candidates["phash"])[order],
        raw={name: values[order] for name, values in raw.items()},
    )
    return pool, sieve.counts()


def _check_key(table: pa.Table, key: str) -> None:
    if doubled := len(table) - pc.count_distinct(table[key]).as_py():
        text = f"{doubled} rows repeat the {key} of another row of their table."
        raise DataError(f"{text} Remake the table.")


def _rows(keys: pa.ChunkedArray, table: pa.Table, key: str) -> Ints:
    """The row of `table` that holds each key, -1 where there is none."""
    if keys.equals(table[key]):  # as steps write them, which is much the fastest
        return np.arange(len(keys))
    _check_key(table, key)
    found = pc.index_in(keys, value_set=table[key].combine_chunks())
    rows: Ints = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    return rows


def _rejected(table: pa.Table) -> Bools:
    return np.asarray(pc.fill_null(pc.equal(table["status"], REJECTED), False).to_numpy())


def _scores(
    sieve: Sieve, ids: pa.ChunkedArray, table: pa.Table, name: str, ranked: Collection[str]
) -> Floats:
    """Raw scores aligned with `ids`, n; NaN where missing, which drops when `name` is ranked."""
    row = _rows(ids, table, "candidate_id")
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
