"""The card of a data set: its facts, read from the files that it goes with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from invdpo.curate.columns import hub_columns
from invdpo.curate.parts import CONFIG_HASH, NOTES, read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import DatasetConfig

SPLITS = ("train", "validation")


def write_card(ws: Workspace, folder: Path, config: DatasetConfig) -> None:
    """Write the `README.md` of the data set in `folder`, which was made in this workspace."""
    from invdpo.data_cards import render_dataset_card

    report = {}
    if ws.report_path.exists():
        report = json.loads(ws.report_path.read_text(encoding="utf-8"))
    facts = dataset_facts(folder) | {
        "name": ws.root.resolve().name,
        "license": config.license,
        "dropped": report.get("prompts", {}).get("dropped", {}),
    }
    (folder / "README.md").write_text(render_dataset_card(facts), encoding="utf-8")


def judges(ws: Workspace, scorers: Sequence[str], annotator: str | None) -> dict[str, Any]:
    """Name -> revision of the scorers and of the annotator, as their tables tell."""
    names = [annotator] if annotator else []
    return {
        "scorers": {name: _revision(ws, ws.scores_dir(name)) for name in scorers},
        "annotators": {name: _revision(ws, ws.annotations_dir(name)) for name in names},
    }


def _revision(ws: Workspace, folder: Path) -> str | None:
    """Of a table whose parts are all of one revision."""
    column = read_part(ws.iter_parts(folder)[0], ["revision"])["revision"]
    return next((value for value in pc.unique(column).to_pylist() if value), None)


def dataset_facts(folder: Path) -> dict[str, Any]:
    """What the files of a data set say of it."""
    files = sorted((folder / "data").glob("*.parquet"))
    schema = pq.read_schema(files[0])
    told = schema.metadata or {}
    notes = json.loads(told.get(NOTES, b"{}"))
    return {f"num_{split}": _rows(files, split) for split in SPLITS} | {
        "features": hub_columns(schema),
        "scorers": list(notes.get("scorers", {})),
        "models": sorted({name for name, _ in generators(files)}),
        "config_hash": told.get(CONFIG_HASH, b"").decode(),
    }


def _rows(files: Sequence[Path], split: str) -> int:
    mine = [path for path in files if path.name.startswith(f"{split}-")]
    return sum(pq.read_metadata(path).num_rows for path in mine)


def generators(files: Sequence[Path]) -> list[tuple[str, str | None]]:
    """Name and revision of every model that drew a picture of the set, sorted by name."""
    found: set[tuple[str, str | None]] = set()
    for path in files:
        table = pq.read_table(
            path, columns=["model", "revision", "rejected_model", "rejected_revision"]
        )
        for side in ("", "rejected_"):
            columns = [table[f"{side}model"], table[f"{side}revision"]]
            rows = (
                pa.table(columns, ["model", "revision"])
                .group_by(["model", "revision"])
                .aggregate([])
            )
            found |= {(row["model"], row["revision"]) for row in rows.to_pylist() if row["model"]}
    return sorted(found, key=lambda pair: (pair[0], pair[1] or ""))
