"""Which table was made from which: every fingerprint holds those of the tables before it."""

from __future__ import annotations

from contextlib import suppress
from math import gcd
from pathlib import Path

from invdpo.curate.storage.parts import Fingerprint, differences, list_parts, maker, read_header
from invdpo.curate.workspace import Workspace
from invdpo.schemas import WorkspaceError

DEFAULT_PART = 16
"""Prompts a part of candidates, unless the batch is larger."""


def fingerprint_of(ws: Workspace, path: Path) -> Fingerprint:
    """What made a table, one file or a folder of parts.

    Raises `WorkspaceError` when it is not there, or its parts do not agree.
    """
    if path.suffix == ".parquet":
        return read_header(ws.need(path)).fingerprint
    first, *others = ws.iter_parts(path)
    fingerprint = read_header(first).fingerprint
    for part in others:
        if differing := differences(read_header(part).fingerprint, fingerprint):
            lines = "\n  ".join(differing)
            text = f"{part}: made with another configuration than {first.name}.\n  {lines}\n"
            raise WorkspaceError(f"{text}Finish it first: {maker(path)} --overwrite")
    return fingerprint


def descendant(ws: Workspace, path: Path, *parents: Fingerprint) -> Fingerprint:
    """The fingerprint of the table at `path`, which must have been made from these tables.

    Raises `WorkspaceError` when one of them was remade since.
    """
    fingerprint = fingerprint_of(ws, path)
    for parent in parents:
        shared = {section: fingerprint.get(section, {}) for section in parent}
        if differing := differences(shared, parent):
            lines = "\n  ".join(differing)
            text = f"{path}: made from an earlier version of a table.\n  {lines}\n"
            raise WorkspaceError(f"{text}Remake it: {maker(path)} --overwrite")
    return fingerprint


def require_current_pairs(ws: Workspace) -> None:
    """Raise `WorkspaceError` where candidates or scores were remade since pairs were chosen."""
    chosen_by = fingerprint_of(ws, ws.pairs_path).get("scores", {})
    scores = {}
    for name, made_by in chosen_by.items():
        there = list_parts(ws.scores_dir(name))
        now = fingerprint_of(ws, ws.scores_dir(name)) if there else made_by
        scores[name] = {section: now.get(section, {}) for section in made_by}
    descendant(ws, ws.pairs_path, fingerprint_of(ws, ws.candidates_dir), {"scores": scores})


def part_size(
    ws: Workspace, asked: int | None, batch_size: int, *, each: int = 1, sizes: int = 1
) -> int:
    """Prompts a part: as asked for, else as the parts on disk have it, else to fill batches.

    Batches come out even where every prompt gives `each` images; of several `sizes` each should
    fill some.
    """
    if asked is not None:
        return asked
    for part in list_parts(ws.candidates_dir):
        with suppress(WorkspaceError):  # a damaged part is for the runner to report, or to repair
            return int(read_header(part).fingerprint["layout"]["part_size"])
    least, even = max(DEFAULT_PART, batch_size * sizes), batch_size // gcd(batch_size, each)
    return -(-least // even) * even


def missing_parts(ws: Workspace, candidates: Fingerprint) -> int:
    """How many parts of candidates are still to be made."""
    total = read_header(ws.need(ws.prompts_path)).rows
    size = int(candidates["layout"]["part_size"])
    return -(-total // size) - len(list_parts(ws.candidates_dir))
