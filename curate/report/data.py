"""What the report reads from a workspace: all pairs, and the candidates of those it shows.

Images, seeds, models and observed graphs are read of the shown candidates only, for they are
large.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from invdpo.curate.fingerprints import require_current_pairs
from invdpo.curate.report.findings import Findings, read_findings
from invdpo.curate.storage.parts import exists, list_parts, read_header, read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import WorkspaceError
from invdpo.schemas.tables import SIDES, Record

Floats = NDArray[np.float64]

DELTA = "delta_"
COLUMNS = ("candidate_id", "image", "seed", "model")


@dataclass(frozen=True)
class ReportData:
    """What plots and tables show; `pairs` is empty where none were written."""

    findings: Findings
    pairs: list[Record] = field(default_factory=list)
    """The rows of the pairs table."""
    raw: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    """Scorer -> raw scores of all chosen and of all rejected images; NaN where missing."""
    prompts: Mapping[str, Record] = field(default_factory=dict)
    """Rows of the prompts table by id, for prompts with a pair."""
    notes: tuple[str, ...] = ()
    """What is left out, and why."""


def read_report_data(ws: Workspace) -> ReportData:
    """Read report, pairs, prompts and scores; what is missing is left out, with a note.

    Raises `WorkspaceError` when there is no report, `DataError` when it can't be read.
    """
    findings = read_findings(ws.need(ws.report_path))
    if note := why_no_pairs(ws, findings):
        return ReportData(findings, notes=(note,))
    pairs, notes = ws.read_table(ws.pairs_path), list(_why_outdated(ws))
    raw: dict[str, tuple[Floats, Floats]] = {}
    scorers = [n.removeprefix(DELTA) for n in pairs.column_names if n.startswith(DELTA)]
    for name in scorers:
        try:
            raw[name] = _scores_of_sides(ws, name, pairs)
        except WorkspaceError as error:
            notes.append(f"Scores of {name} are left out. {error}")
    try:
        prompts = _read_prompts(ws, pairs["prompt_id"])
    except WorkspaceError as error:
        prompts = {}
        notes.append(f"Prompts are left out. {error}")
    return ReportData(findings, pairs.to_pylist(), raw, prompts, tuple(notes))


def _why_outdated(ws: Workspace) -> Iterator[str]:
    """A note where images and scores on the page are not those that pairs were chosen by."""
    try:
        require_current_pairs(ws)
    except WorkspaceError as error:
        yield f"The pairs were not chosen from the images and scores shown beside them. {error}"


def why_no_pairs(ws: Workspace, findings: Findings) -> str | None:
    """Why the page has no pairs, or None when it can have them."""
    if not exists(ws.pairs_path):
        return "No pairs were written, so there are no images and no distributions."
    header = read_header(ws.pairs_path)
    same = header.rows == findings.pairs.total
    if same and header.fingerprint.get("pair", findings.config) == findings.config:
        return None
    return (
        "The pairs on disk are from an earlier pairing than this report, so their images and "
        "distributions are left out."
    )


def _scores_of_sides(ws: Workspace, scorer: str, pairs: pa.Table) -> tuple[Floats, Floats]:
    scores = ws.read_table(ws.scores_dir(scorer), ["candidate_id", "score"])
    known = scores["candidate_id"].combine_chunks()
    # One value is appended, so that index -1 reads "missing".
    values = np.append(scores["score"].to_numpy().astype(np.float64), np.nan)
    chosen, rejected = (
        values[pc.fill_null(pc.index_in(pairs[f"{side}_id"], value_set=known), -1).to_numpy()]
        for side in SIDES
    )
    return chosen, rejected


def _read_prompts(ws: Workspace, wanted: pa.ChunkedArray) -> dict[str, Record]:
    table = ws.read_table(ws.prompts_path, ["prompt_id", "prompt", "graph", "source"])
    rows = table.filter(pc.is_in(table["prompt_id"], value_set=wanted.combine_chunks()))
    return {row["prompt_id"]: row for row in rows.to_pylist()}


def read_candidates(ws: Workspace, wanted: Collection[str], annotator: str) -> dict[str, Record]:
    """Candidate id -> its row, with `graph` as the annotator saw it, None where it did not look.

    Images are read only from parts with a wanted candidate. Raises `WorkspaceError` for damaged
    parts.
    """
    wanted_ids, candidates = pa.array(sorted(wanted), pa.string()), dict[str, Record]()
    for part in list_parts(ws.candidates_dir):
        ids = read_part(part, ["candidate_id"])["candidate_id"]
        is_wanted = pc.is_in(ids, value_set=wanted_ids)
        if not pc.any(is_wanted).as_py():
            continue
        rows = read_part(part, COLUMNS).filter(is_wanted).to_pylist()
        graphs = _read_graphs(ws, annotator, part.name, wanted_ids)
        candidates |= {
            row["candidate_id"]: row | {"graph": graphs.get(row["candidate_id"])} for row in rows
        }
    return candidates


def _read_graphs(
    ws: Workspace, annotator: str, part: str, wanted_ids: pa.Array
) -> dict[str, str | None]:
    path = ws.annotations_dir(annotator) / part
    if not exists(path):
        return {}
    table = read_part(path, ["candidate_id", "graph"])
    rows = table.filter(pc.is_in(table["candidate_id"], value_set=wanted_ids)).to_pylist()
    return {row["candidate_id"]: row["graph"] for row in rows}
