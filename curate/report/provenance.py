"""What made the rows of a workspace: models, revisions and counts, as its tables say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from invdpo import __version__
from invdpo.curate.storage.cuts import count_cut, cut_note
from invdpo.curate.storage.errors import storage_errors
from invdpo.curate.storage.object_store import reading
from invdpo.curate.storage.parts import (
    CONFIG_HASH,
    VERSION,
    exists,
    list_parts,
    read_header,
    read_part,
)
from invdpo.curate.workspace import Workspace
from invdpo.schemas.io.redact import redact

SETTINGS = (
    "revision",
    "scheduler",
    "steps",
    "guidance_scale",
    "pipeline_options",
    "width",
    "height",
)
"""Columns of candidates that say how they were generated; not all tables have all of them."""


SECTIONS = {"annotations": "annotate", "scores": "score"}
"""Table -> the part of its fingerprint that says which package a plug-in came from."""


class ProvenanceRow(NamedTuple):
    """A source, model, annotator or scorer, and how many rows it made."""

    step: str
    name: str
    detail: str
    """Revision and settings."""
    rows: int


def read_provenance(ws: Workspace) -> list[ProvenanceRow]:
    """Every source, model, annotator and scorer, with the number of its rows.

    Raises `WorkspaceError` for damaged parts.
    """
    rows: list[ProvenanceRow] = []
    if exists(ws.prompts_path):
        rows += _count("prompts", [ws.prompts_path], "source", ())
    rows += _count("images", list_parts(ws.candidates_dir), "model", SETTINGS)
    for folder in table_folders(ws.annotations_dir("")):
        rows += _count("annotations", list_parts(folder), "annotator", ("revision",))
    for folder in table_folders(ws.scores_dir("")):
        rows += _count("scores", list_parts(folder), "scorer", ("revision",))
    return rows


def made_by(path: Path) -> tuple[str | None, str]:
    """The configuration's hash and the version that made a table; this version without a table."""
    if not exists(path):
        return None, __version__
    with storage_errors(path), reading(path) as source:
        metadata = pq.read_schema(source).metadata or {}
    config_hash = metadata.get(CONFIG_HASH, b"").decode() or None
    return config_hash, metadata.get(VERSION, __version__.encode()).decode()


def table_folders(parent: Path) -> list[Path]:
    """The folders in `parent`, one for each annotator or scorer; none where it isn't there."""
    with storage_errors(parent):
        return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


def _count(
    step: str, parts: Sequence[Path], name: str, details: Sequence[str]
) -> Iterator[ProvenanceRow]:
    """Rows by name and details, the most frequent first."""
    counts: Counter[tuple[Any, ...]] = Counter()
    cut = count_cut(parts[0].parent) if step in ("images", "scores") and parts else 0
    keys = [name, *details]
    made = read_header(parts[0]).fingerprint.get(SECTIONS.get(step, ""), {}) if parts else {}
    package = [str(made["distribution"])] if made.get("distribution") else []
    for part in parts:
        table = read_part(part, keys, optional=details)
        counted = table.group_by(table.column_names).aggregate([([], "count_all")])
        for row in counted.to_pylist():
            counts[tuple(row.get(key) for key in keys)] += row["count_all"]
    for (maker, *values), rows in sorted(counts.items(), key=lambda item: (-item[1], str(item))):
        known = [(key, value) for key, value in zip(details, values, strict=True) if value]
        settings = [_setting(key, value) for key, value in known]
        detail = ", ".join([*package, *settings, *([cut_note(cut)] if cut else [])])
        yield ProvenanceRow(step, public_name(maker), detail, rows)


def _setting(key: str, value: object) -> str:
    names = {"guidance_scale": "guidance", "pipeline_options": "options", "revision": ""}
    text = f"{value:g}" if isinstance(value, float) else public_name(value)
    return f"{names.get(key, key)} {text}".strip()


def public_name(value: object) -> str:
    """A name without the folders of this machine."""
    return "unknown" if value is None else str(redact(str(value)))
