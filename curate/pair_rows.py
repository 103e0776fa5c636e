"""The rows of the data set: each pair with its prompt, pictures, graphs, scores and seeds.

Parts are read one after another, so that memory holds the pictures of one part, not of the set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate.parts import read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas.tables import Record, dataset_schema

SIDES = ("chosen", "rejected")


class PairRows:
    """Joins pairs with prompts, candidates, graphs and scores, one part of candidates at a time."""

    def __init__(self, ws: Workspace, pairs: pa.Table, annotator: str | None) -> None:
        self._ws, self._annotator = ws, annotator
        deltas = [name for name in pairs.column_names if name.startswith("delta_")]
        self.scorers = [name.removeprefix("delta_") for name in deltas]
        self._pairs: list[Record] = pairs.to_pylist()
        names = [row[f"{side}_id"] for row in self._pairs for side in SIDES]
        self._wanted = pa.array(names, pa.string())
        columns = [self._columns(name) for name in self.scorers]
        self._scores = [column for group in columns for column in group]
        self.schema = dataset_schema(self._scores)

    def rows(self) -> Iterator[tuple[str, Record]]:
        """Split and row of every pair, in the order in which its candidates are complete."""
        prompts = _by_key(self._ws.read_table(self._ws.prompts_path), "prompt_id")
        waiting: dict[str, Record] = {row["pair_id"]: row for row in self._pairs}
        pairs_of: dict[str, list[str]] = {}
        for row in self._pairs:
            for side in SIDES:
                pairs_of.setdefault(row[f"{side}_id"], []).append(row["pair_id"])
        held: dict[str, Record] = {}
        for part in self._ws.iter_parts(self._ws.candidates_dir):
            found = self._candidates(part)
            held |= found
            for pair_id in dict.fromkeys(p for name in found for p in pairs_of[name]):
                pair = waiting[pair_id]
                if all(pair[f"{side}_id"] in held for side in SIDES):
                    yield pair["split"], self._row(pair, prompts[pair["prompt_id"]], held)
                    del waiting[pair_id]
            for name in [n for n in held if not any(p in waiting for p in pairs_of[n])]:
                del held[name]

    def _row(self, pair: Record, prompt: Record, held: Mapping[str, Record]) -> Record:
        chosen, rejected = (held[pair[f"{side}_id"]] for side in SIDES)
        row = {name: pair[name] for name in ("pair_id", "margin")}
        row |= {"prompt": prompt["prompt"], "graph": prompt["graph"]}
        row |= {"model": chosen["model"], "revision": chosen["revision"]}
        for side, candidate in zip(SIDES, (chosen, rejected), strict=True):
            row |= {side: candidate["image"], f"{side}_seed": candidate["seed"]}
            row |= {f"{side}_graph": candidate["graph"]}
            row |= {f"{side}_{name}": candidate["scores"].get(name) for name in self._scores}
        return row

    def _candidates(self, part: Path) -> dict[str, Record]:
        """The candidates of one part that pairs need, with graph and scores, by id."""
        columns = ["candidate_id", "image", "seed", "model", "revision"]
        found = _by_key(self._needed(part, columns), "candidate_id")
        if not found:
            return found
        graphs = self._graphs(part.name)
        scores: dict[str, dict[str, float]] = {name: {} for name in found}
        for scorer in self.scorers:
            self._add_scores(scorer, part.name, scores)
        for name, row in found.items():
            row |= {"graph": graphs.get(name), "scores": scores[name]}
        return found

    def _needed(self, part: Path, columns: Sequence[str]) -> pa.Table:
        table = read_part(part, columns)
        return table.filter(pc.is_in(table["candidate_id"], value_set=self._wanted))

    def _graphs(self, part: str) -> dict[str, str | None]:
        if self._annotator is None:
            return {}
        path = self._ws.need(self._ws.annotations_dir(self._annotator) / part)
        rows = self._needed(path, ["candidate_id", "graph"]).to_pylist()
        return {row["candidate_id"]: row["graph"] for row in rows}

    def _add_scores(self, scorer: str, part: str, scores: dict[str, dict[str, float]]) -> None:
        path = self._ws.need(self._ws.scores_dir(scorer) / part)
        for row in self._needed(path, ["candidate_id", "score", "components"]).to_pylist():
            mine = scores.get(row["candidate_id"], {})
            mine[scorer] = row["score"]
            mine |= {f"{scorer}_{name}": value for name, value in row["components"] or ()}

    def _columns(self, scorer: str) -> list[str]:
        """The scorer itself and its components, such as `composition_sg_iou`."""
        parts = self._ws.iter_parts(self._ws.scores_dir(scorer))
        names: set[str] = set()
        for part in parts:
            components = read_part(part, ["components"])["components"].combine_chunks()
            names |= set(components.keys.unique().to_pylist())
        return [scorer, *(f"{scorer}_{name}" for name in sorted(names))]


def _by_key(table: pa.Table, key: str) -> dict[str, Record]:
    return {row[key]: row for row in table.to_pylist()}
