"""Candidates of one part with all that is known of each: picture, origin, graph and scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate.parts import read_part
from invdpo.curate.workspace import Workspace

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
