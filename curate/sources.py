"""Input parts: which rows, joined from which tables, become one part of the next table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from invdpo.curate.parts import read_part
from invdpo.schemas.tables import Record


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

    def rows(self) -> list[Record]:
        """The prompts."""
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
    """One part of candidates, as it is or joined with what a scorer needs."""

    path: Path
    planned: int
    columns: Sequence[str]
    prompts: Path | None = None
    """Adds `prompt` and `graph`."""
    annotations: Path | None = None
    """The annotations of the same candidates; adds `observed_graph` and `observed_error`."""

    @property
    def name(self) -> str:
        """The same as the candidates'."""
        return self.path.name

    def rows(self) -> Iterator[Record]:
        """The candidates, in order."""
        prompts = _by_key(self.prompts, "prompt_id", ["prompt", "graph"])
        observed = _by_key(self.annotations, "candidate_id", ["graph", "error"])
        for row in read_part(self.path, self.columns).to_pylist():
            if self.prompts:
                prompt = prompts.get(row["prompt_id"], {})
                row |= {"prompt": prompt.get("prompt"), "graph": prompt.get("graph")}
            if self.annotations:
                seen = observed.get(row["candidate_id"], {})
                row |= {"observed_graph": seen.get("graph"), "observed_error": seen.get("error")}
            yield row


def _by_key(path: Path | None, key: str, columns: Sequence[str]) -> dict[str, Record]:
    if path is None:
        return {}
    return {row[key]: row for row in read_part(path, [key, *columns]).to_pylist()}
