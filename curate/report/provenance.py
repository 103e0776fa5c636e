"""Where the pairs come from: models, revisions and counts, as the tables themselves say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from invdpo import __version__
from invdpo.curate.storage.errors import storage_errors
from invdpo.curate.storage.object_store import reading
from invdpo.curate.storage.parts import CONFIG_HASH, VERSION, exists, list_parts, read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas.io.redact import redact


class Origin(NamedTuple):
    """One maker of rows."""

    step: str
    name: str
    detail: str
    """Revision and settings."""
    rows: int


def origins(ws: Workspace) -> list[Origin]:
    """Every source, model, annotator and scorer, with the rows that are there of each.

    Raises `WorkspaceError` for damaged parts.
    """
    found: list[Origin] = []
    if exists(ws.prompts_path):
        found += _count("prompts", [ws.prompts_path], "source", ())
    settings = ("revision", "scheduler", "steps", "guidance_scale", "width", "height")
    found += _count("pictures", list_parts(ws.candidates_dir), "model", settings)
    for folder in _folders(ws.annotations_dir("")):
        found += _count("annotations", list_parts(folder), "annotator", ("revision",))
    for folder in _folders(ws.scores_dir("")):
        found += _count("scores", list_parts(folder), "scorer", ("revision",))
    return found


def made_by(path: Path) -> tuple[str | None, str]:
    """Hash of the configuration that made a table, and the version; those of here without one."""
    if not exists(path):
        return None, __version__
    with storage_errors(path), reading(path) as source:
        metadata = pq.read_schema(source).metadata or {}
    found = metadata.get(CONFIG_HASH)
    return found and found.decode(), metadata.get(VERSION, __version__.encode()).decode()


def _folders(parent: Path) -> list[Path]:
    with storage_errors(parent):
        there = list(parent.iterdir()) if parent.is_dir() else []
        return sorted(path for path in there if path.is_dir())


def _count(step: str, parts: Sequence[Path], name: str, details: Sequence[str]) -> Iterator[Origin]:
    """Rows by name and details, the most frequent first."""
    counts: Counter[tuple[Any, ...]] = Counter()
    keys = [name, *details]
    for part in parts:
        found = read_part(part, keys).group_by(keys).aggregate([([], "count_all")])
        for row in found.to_pylist():
            counts[tuple(row[key] for key in keys)] += row["count_all"]
    for (who, *values), rows in sorted(counts.items(), key=lambda entry: (-entry[1], str(entry))):
        told = zip(details, values, strict=True)
        yield Origin(step, public_name(who), ", ".join(_told(k, v) for k, v in told if v), rows)


def _told(key: str, value: object) -> str:
    words = {"guidance_scale": "guidance", "revision": ""}.get(key, key)
    text = f"{value:g}" if isinstance(value, float) else public_name(value)
    return f"{words} {text}".strip()


def public_name(value: object) -> str:
    """A name without the folders of this machine."""
    return "unknown" if value is None else str(redact(str(value)))
