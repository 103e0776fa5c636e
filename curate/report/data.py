"""Everything of a workspace that the report is made of, pictures aside.

MERGED: The candidates of the pairs that are shown: picture, seed, model, and what was seen on them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from invdpo.curate.report.findings import Findings, read_findings
from invdpo.curate.storage.parts import exists, list_parts, read_header, read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import WorkspaceError
from invdpo.schemas.tables import SIDES, Record

Floats = NDArray[np.float64]


DELTA = "delta_"


@dataclass(frozen=True)
class Material:
    """What the plots and tables need; `pairs` is empty where there are none."""

    findings: Findings
    pairs: list[Record] = field(default_factory=list)
    """The rows of the pairs table."""
    raw: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    """Scorer -> raw scores of the chosen and of the rejected, a pair each; NaN where missing."""
    prompts: Mapping[str, Record] = field(default_factory=dict)
    """Rows of the prompts table by id, those of pairs."""
    notes: tuple[str, ...] = ()
    """What could not be shown, and why."""


def gather(ws: Workspace) -> Material:
    """Read report, pairs, prompts and scores; what is not there is left out and noted.

    Raises `WorkspaceError` when there is no report, `DataError` when it can't be read.
    """
    findings = read_findings(ws.need(ws.report_path))
    if note := _without_pairs(ws, findings):
        return Material(findings, notes=(note,))
    pairs, notes = ws.read_table(ws.pairs_path), []
    raw: dict[str, tuple[Floats, Floats]] = {}
    for name in (n.removeprefix(DELTA) for n in pairs.column_names if n.startswith(DELTA)):
        try:
            raw[name] = _ends(ws, name, pairs)
        except WorkspaceError as error:
            notes.append(f"Scores of {name} are left out. {error}")
    try:
        prompts = _prompts(ws, pairs["prompt_id"])
    except WorkspaceError as error:
        prompts = {}
        notes.append(f"Prompts are left out. {error}")
    return Material(findings, pairs.to_pylist(), raw, prompts, tuple(notes))


def _without_pairs(ws: Workspace, findings: Findings) -> str | None:
    """Why the page has no pairs, or None when it can have them."""
    if not exists(ws.pairs_path):
        return "No pairs were written, so there are no pictures and no distributions."
    header = read_header(ws.pairs_path)
    same = header.rows == findings.pairs.total
    if same and header.fingerprint.get("pair", findings.config) == findings.config:
        return None
    return (
        "The pairs that are there are of an earlier pairing than this report, so their pictures "
        "and distributions are left out."
    )


def _ends(ws: Workspace, scorer: str, pairs: pa.Table) -> tuple[Floats, Floats]:
    scores = ws.read_table(ws.scores_dir(scorer), ["candidate_id", "score"])
    known = scores["candidate_id"].combine_chunks()
    # One value more than there are, so that index -1 reads "missing".
    values = np.append(scores["score"].to_numpy().astype(np.float64), np.nan)
    chosen, rejected = (
        values[pc.fill_null(pc.index_in(pairs[f"{side}_id"], value_set=known), -1).to_numpy()]
        for side in SIDES
    )
    return chosen, rejected


def _prompts(ws: Workspace, wanted: pa.ChunkedArray) -> dict[str, Record]:
    table = ws.read_table(ws.prompts_path, ["prompt_id", "prompt", "graph", "source"])
    rows = table.filter(pc.is_in(table["prompt_id"], value_set=wanted.combine_chunks()))
    return {row["prompt_id"]: row for row in rows.to_pylist()}


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
        found |= {
            row["candidate_id"]: row | {"graph": seen.get(row["candidate_id"])} for row in rows
        }
    return found


def _graphs(ws: Workspace, annotator: str, part: str, names: pa.Array) -> dict[str, str | None]:
    path = ws.annotations_dir(annotator) / part
    if not exists(path):
        return {}
    table = read_part(path, ["candidate_id", "graph"])
    rows = table.filter(pc.is_in(table["candidate_id"], value_set=names)).to_pylist()
    return {row["candidate_id"]: row["graph"] for row in rows}
