"""Input parts: which rows, joined from which tables, become one part of the next table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate.candidate import GRAPH, IMAGE, OBSERVED, PROMPT, Candidate
from invdpo.curate.storage.parts import read_part
from invdpo.schemas.io.documents import as_written
from invdpo.schemas.tables import Record

KEY = "candidate_id"
AT_A_TIME = 64


@dataclass(frozen=True)
class PromptSlice:
    """Some prompts, each of which becomes `fan_out` candidates."""

    name: str
    path: Path
    offset: int
    count: int
    fan_out: int

    @property
    def planned(self) -> int:
        """Candidates that come out."""
        return self.count * self.fan_out

    def rows(self, needs: Set[str] = frozenset()) -> list[Record]:
        """The prompts, whole."""
        rows: list[Record] = read_part(self.path).slice(self.offset, self.count).to_pylist()
        return rows


def cut(path: Path, total: int, size: int, fan_out: int) -> list[PromptSlice]:
    """The prompts of a table in slices of `size`, in order."""
    return [
        PromptSlice(f"part-{n:05d}.parquet", path, offset, min(size, total - offset), fan_out)
        for n, offset in enumerate(range(0, total, size))
    ]


@dataclass(frozen=True)
class CandidatePart:
    """One part of candidates, joined with what annotators and scorers need."""

    path: Path
    planned: int
    prompts: Path
    annotations: Path | None = None
    """The annotations of the same candidates."""

    @property
    def name(self) -> str:
        """The same as the candidates'."""
        return self.path.name

    def rows(self, needs: Set[str] = frozenset()) -> Iterator[Candidate]:
        """The candidates, in order, with what `needs` names of `Candidate`'s properties."""
        columns = ["candidate_id", "prompt_id", "status", "error"]
        rows = read_part(self.path, [*columns, IMAGE] if IMAGE in needs else columns)
        with as_written(self.path):
            prompts = self._prompts(rows["prompt_id"]) if {PROMPT, GRAPH} & needs else {}
            observed = self._observed(rows[KEY]) if OBSERVED in needs else {}
            for row in _rows(rows):
                about = prompts.get(row["prompt_id"], {}) | observed.get(row[KEY], {})
                yield Candidate({**row, **about})

    def _prompts(self, ids: pa.ChunkedArray) -> dict[str, Record]:
        return _by_key(self.prompts, "prompt_id", ids, {"prompt": PROMPT, "graph": GRAPH})

    def _observed(self, ids: pa.ChunkedArray) -> dict[str, Record]:
        names = {"graph": OBSERVED, "error": "observed_error"}
        return _by_key(self.annotations, KEY, ids, names) if self.annotations else {}


def _rows(table: pa.Table) -> Iterator[Record]:
    """Rows as Python's objects, some at a time: images would be in memory twice."""
    for batch in table.to_batches(max_chunksize=AT_A_TIME):
        yield from batch.to_pylist()


def _by_key(
    path: Path, key: str, keys: pa.ChunkedArray, names: Mapping[str, str]
) -> dict[str, Record]:
    """Each of these keys that is there -> the columns of `names`, called as it says.

    Of a table for many parts only the rows of this one become Python's objects.
    """
    table = read_part(path, [key, *names])
    rows = table.filter(pc.is_in(table[key], value_set=keys.unique())).to_pylist()
    return {row[key]: {new: row[old] for old, new in names.items()} for row in rows}
