"""The candidates of the pairs that are shown: picture, seed, model, and what was seen on them."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate.parts import exists, list_parts, read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas.tables import Record

COLUMNS = ("candidate_id", "image", "seed", "model")


def read_candidates(ws: Workspace, wanted: Collection[str], annotator: str) -> dict[str, Record]:
    """Candidate id -> its row, with `graph` as the annotator saw it, None where it has not.

    Pictures are read of those parts only that hold a wanted one. Raises `WorkspaceError` for
    damaged parts.
    """
    names, found = pa.array(sorted(wanted), pa.string()), dict[str, Record]()
    for part in list_parts(ws.candidates_dir):
        here = pc.is_in(read_part(part, ["candidate_id"])["candidate_id"], value_set=names)
        if not pc.any(here).as_py():
            continue
        rows = read_part(part, COLUMNS).filter(here).to_pylist()
        seen = _graphs(ws, annotator, part.name, names)
        found |= {row["candidate_id"]: row | {"graph": seen.get(row["candidate_id"])}
                  for row in rows}  # fmt: skip
    return found


def _graphs(ws: Workspace, annotator: str, part: str, names: pa.Array) -> dict[str, str | None]:
    path = ws.annotations_dir(annotator) / part
    if not exists(path):
        return {}
    table = read_part(path, ["candidate_id", "graph"])
    rows = table.filter(pc.is_in(table["candidate_id"], value_set=names)).to_pylist()
    return {row["candidate_id"]: row["graph"] for row in rows}
