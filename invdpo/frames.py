"""Tables of a workspace as wide pandas data frames: one row per candidate or pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invdpo.curate.report.provenance import table_folders
from invdpo.curate.workspace import Workspace
from invdpo.schemas.io.documents import read_json
from invdpo.schemas.tables import SIDES, Record

if TYPE_CHECKING:
    from pandas import DataFrame

KEY = "candidate_id"
ORIGIN = (KEY, "prompt_id", "model", "seed", "error")


def score_frame(ws: Workspace) -> DataFrame:
    """One row per candidate: its prompt, and of every scorer raw score, components and error."""
    return _candidates(ws).merge(_scores(ws), on=KEY, how="left")


def annotation_frame(ws: Workspace) -> DataFrame:
    """One row per candidate: its prompt, the graph asked for, and every annotator's graph or error.

    Graphs are dicts of `items` and `relations`; None where there is none.
    """
    prompts = ws.read_table(ws.prompts_path, ["prompt_id", "graph"]).to_pandas()
    frame = _candidates(ws).merge(prompts, on="prompt_id", how="left")
    frame["graph"] = frame["graph"].map(_graph)
    for folder in table_folders(ws.annotations_dir("")):
        name, table = folder.name, ws.read_table(folder, [KEY, "graph", "error"]).to_pandas()
        table[f"{name}_graph"] = table.pop("graph").map(_graph)
        frame = frame.merge(table.rename(columns={"error": f"{name}_error"}), on=KEY, how="left")
    return frame


def pair_frame(ws: Workspace) -> DataFrame:
    """One row per pair: its prompt, margin and split, and what `score_frame` says of both sides."""
    frame: DataFrame = ws.read_table(ws.pairs_path).to_pandas()
    frame.insert(2, "prompt", frame["prompt_id"].map(_prompts(ws)))
    candidates = _candidates(ws)[[KEY, "model", "seed"]].merge(_scores(ws), on=KEY, how="left")
    candidates = candidates.drop(columns=[n for n in candidates if str(n).endswith("_error")])
    for side in SIDES:
        frame = frame.merge(
            candidates.add_prefix(f"{side}_"),
            left_on=f"{side}_id",
            right_on=f"{side}_{KEY}",
            how="left",
        ).drop(columns=f"{side}_{KEY}")
    return frame


def _prompts(ws: Workspace) -> dict[str, str]:
    table = ws.read_table(ws.prompts_path, ["prompt_id", "prompt"]).to_pylist()
    return {row["prompt_id"]: row["prompt"] for row in table}


def _candidates(ws: Workspace) -> DataFrame:
    """Where each candidate comes from, without its image."""
    frame: DataFrame = ws.read_table(ws.candidates_dir, ORIGIN).to_pandas()
    frame.insert(2, "prompt", frame["prompt_id"].map(_prompts(ws)))
    return frame


def _scores(ws: Workspace) -> DataFrame:
    """Candidate id, and the columns of every scorer."""
    from pandas import DataFrame

    frame: DataFrame = DataFrame({KEY: ws.read_table(ws.candidates_dir, [KEY])[KEY].to_pylist()})
    for folder in table_folders(ws.scores_dir("")):
        rows = ws.read_table(folder, [KEY, "score", "components", "error"]).to_pylist()
        columns = DataFrame([_columns(folder.name, row) for row in rows])
        frame = frame.merge(columns, on=KEY, how="left")
    return frame


def _columns(name: str, row: Record) -> dict[str, Any]:
    components = {f"{name}_{part}": value for part, value in row["components"] or ()}
    return {KEY: row[KEY], name: row["score"], **components, f"{name}_error": row["error"]}


def _graph(text: str | None) -> dict[str, Any] | None:
    return read_json(text, "graph", dict) if text else None
