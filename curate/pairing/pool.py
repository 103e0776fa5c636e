"""The candidates that can be ranked: prompts, candidates and scores brought into one order.

n candidates, in the order of their ids, so that nothing depends on how the tables were split into
parts or sorted. Ids are compared by their bytes, several bytes at once where all are equally long,
as ours are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from invdpo.curate.pairing.reasons import Bools, DropReasons
from invdpo.schemas import DataError
from invdpo.schemas.io.text import count_noun
from invdpo.schemas.tables import REJECTED

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WORD_BYTES = 8
"""Bytes of an id that are compared at once."""
COUNTED_REASONS = 3
"""Why candidates were rejected, counted by itself; each reason may be another text."""


class CandidateOrigin(NamedTuple):
    """Seed and model of each candidate."""

    seed: Ints
    """n; -1 where it is unknown."""
    model: Ints
    """A number for each (model, revision), n."""


class Pool(NamedTuple):
    """The candidates that every ranked scorer has scored."""

    ids: NDArray[np.object_]
    """Candidate ids, n."""
    prompt: Ints
    """Row of each candidate's prompt in the prompts table, n."""
    phash: NDArray[np.object_]
    """Perceptual hashes, n; None where there is none."""
    raw: dict[str, Floats]
    """Raw scores of every scorer, n each; NaN where a scorer that is not ranked has none."""
    origin: CandidateOrigin | None = None
    """None when the candidates table has no seed, model and revision."""

    def take(self, rows: Ints) -> Pool:
        """Only these candidates, in this order."""
        return Pool(
            self.ids[rows],
            self.prompt[rows],
            self.phash[rows],
            {name: values[rows] for name, values in self.raw.items()},
            CandidateOrigin(*(column[rows] for column in self.origin)) if self.origin else None,
        )


def build_pool(
    prompts: pa.Table,
    candidates: pa.Table,
    scores: Mapping[str, pa.Table],
    ranked: Collection[str],
    limits: Mapping[str, float] | None = None,
) -> tuple[Pool, DropReasons]:
    """The candidates that all scorers of `ranked` can rank, and why the others were dropped.

    A candidate is also dropped when its raw score by a scorer of `limits` is above the limit or
    missing. Raises `DataError` when an id occurs twice in the table that it is the key of.
    """
    ids, prompt = candidates["candidate_id"], _key_rows(candidates["prompt_id"], prompts)
    order = sorted_rows(ids)
    check_unique(candidates, "candidate_id", "candidates")
    reasons = DropReasons(len(candidates))
    _drop_rejected(reasons, candidates)
    reasons.drop(prompt < 0, "its prompt is not in the prompts table")
    raw = {name: _align_scores(reasons, ids, scores[name], name, ranked) for name in scores}
    for name, limit in (limits or {}).items():
        reasons.drop(np.isnan(raw[name]), f"no {name} score")
        reasons.drop(raw[name] > limit, f"{name} over {limit:g}")
    phash = _as_objects(candidates["phash"])
    pool = Pool(_as_objects(ids), prompt, phash, raw, _read_origin(candidates))
    return pool.take(order[reasons.kept[order]]), reasons


def _read_origin(candidates: pa.Table) -> CandidateOrigin | None:
    if not {"seed", "model", "revision"} <= set(candidates.column_names):
        return None
    names = pc.binary_join_element_wise(
        pc.fill_null(candidates["model"], ""), pc.fill_null(candidates["revision"], ""), "\n"
    )
    model = names.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    return CandidateOrigin(pc.fill_null(candidates["seed"], -1).to_numpy().astype(np.int64), model)


def _key_rows(
    keys: pa.ChunkedArray, table: pa.Table, key: str = "prompt_id", table_name: str = "prompts"
) -> Ints:
    """The row of `table` that holds each key, -1 where no row does."""
    if keys.equals(table[key]):  # as the steps write them; by far the fastest way
        return np.arange(len(keys))
    check_unique(table, key, table_name)
    index = pc.index_in(keys, value_set=table[key].combine_chunks())
    rows: Ints = pc.fill_null(index, -1).to_numpy().astype(np.int64)
    return rows


def _drop_rejected(reasons: DropReasons, candidates: pa.Table) -> None:
    """The commonest reasons are counted each by itself, where the table says them."""
    rejected = _is_rejected(candidates)
    if "error" in candidates.column_names:
        errors = pc.fill_null(candidates["error"], "")
        said = Counter(
            error for error in pc.filter(errors, pa.array(rejected)).to_pylist() if error
        )
        for error, _ in said.most_common(COUNTED_REASONS):
            same = np.asarray(pc.equal(errors, error).to_numpy())
            reasons.drop(rejected & same, f"candidate rejected: {error}")
    reasons.drop(rejected, "candidate rejected")


def _is_rejected(table: pa.Table) -> Bools:
    return np.asarray(pc.fill_null(pc.equal(table["status"], REJECTED), False).to_numpy())


def _align_scores(
    reasons: DropReasons,
    ids: pa.ChunkedArray,
    table: pa.Table,
    name: str,
    ranked: Collection[str],
) -> Floats:
    """Raw scores in the order of `ids`, n; NaN where missing, which drops when `name` is ranked."""
    rows = _key_rows(ids, table, "candidate_id", f"scores of {name}")
    # One value is appended, so that index -1 reads "missing" even from an empty table.
    values = np.append(table["score"].to_numpy().astype(np.float64), np.nan)[rows]
    rejected = np.append(_is_rejected(table), False)[rows]
    usable = np.isfinite(values) & ~rejected
    if name in ranked:
        reasons.drop(rows < 0, f"no {name} score")
        reasons.drop(rejected, f"rejected by {name}")
        reasons.drop(~usable, f"{name} score not finite")
    return np.where(usable, values, np.nan)


def _as_objects(column: pa.ChunkedArray) -> NDArray[np.object_]:
    return np.asarray(column.to_numpy(), dtype=object)


def sorted_rows(ids: pa.ChunkedArray) -> Ints:
    """Rows in the order of the ids' bytes, n; rows of equal ids stay in their order."""
    words = _as_words(ids)
    if words is None:
        return np.asarray(pc.sort_indices(ids).to_numpy(), dtype=np.int64)
    return np.lexsort(words.T[::-1])


def check_unique(table: pa.Table, key: str, table_name: str) -> None:
    """Raise `DataError` that names the keys of more than one row, or when a key is missing."""
    ids = table[key]
    if ids.null_count:
        raise DataError(
            f"{table_name}: {count_noun(ids.null_count, 'row')} without {key}. Remake the table."
        )
    words = _as_words(ids)
    if words is not None:
        ordered = words[np.lexsort(words.T[::-1])]
        if not (ordered[1:] == ordered[:-1]).all(axis=1).any():
            return
    if repeats := len(table) - pc.count_distinct(ids).as_py():
        counts = pc.value_counts(ids).to_pylist()
        examples = [str(row["values"]) for row in counts if row["counts"] > 1][:3]
        text = f"{table_name}: {count_noun(repeats, 'row')} with the {key} of another"
        raise DataError(f"{text} ({', '.join(examples)}). Remake the table.")


def _as_words(ids: pa.ChunkedArray) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]] | None:
    """Ids as whole numbers of 8 bytes each that sort as their bytes do, n x length / 8.

    None unless all have the same length, and it is a multiple of 8.
    """
    array = ids.combine_chunks().cast(pa.large_string())
    lengths = pc.min_max(pc.binary_length(array)).as_py()
    length = lengths["min"]
    if array.null_count or not length or length != lengths["max"] or length % WORD_BYTES:
        return None
    start = np.frombuffer(array.buffers()[1], np.int64, 1, array.offset * 8)[0]
    data = np.frombuffer(array.buffers()[2], np.uint8, len(array) * length, int(start))
    return np.ascontiguousarray(data.reshape(-1, length)).view(">u8").astype(np.uint64)
