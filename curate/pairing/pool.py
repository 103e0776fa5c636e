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

from invdpo.curate.pairing.keys import check_key, sorted_rows
from invdpo.curate.pairing.sieve import Bools, Sieve
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
) -> tuple[Pool, Sieve]:
    """The candidates that can be ranked by all of `ranked`, and why the others were dropped.

    Those whose raw score by a scorer of `limits` is above the limit, or missing, are dropped.
    Raises `DataError` when an id stands twice in a table that it is the key of.
    """
    ids, prompt = candidates["candidate_id"], _rows(candidates["prompt_id"], prompts, "prompt_id")
    order = sorted_rows(ids)
    check_key(candidates, "candidate_id", "candidates")
    sieve = Sieve(len(candidates))
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
    sieve: Sieve, ids: pa.ChunkedArray, table: pa.Table, name: str, ranked: Collection[str]
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
