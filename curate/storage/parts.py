"""Parts: Parquet files that are either complete or absent, and know what made them.

A part is written under a temporary name in its folder, flushed to disk and renamed, so that a
kill at any moment leaves the part or nothing; on an object store it is put at once. Its Parquet
metadata carries the configuration that decided its rows (the fingerprint), and its pages carry
checksums.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from invdpo import __version__
from invdpo.curate.storage.atomic import replacing
from invdpo.curate.storage.columns import parquet_options
from invdpo.curate.storage.errors import remote_errors, storage_errors
from invdpo.curate.storage.object_store import reading
from invdpo.curate.storage.pair_sets import words_of
from invdpo.curate.storage.urls import is_remote
from invdpo.schemas import WorkspaceError
from invdpo.schemas.ids import canonical_json, content_id
from invdpo.schemas.io.documents import read_json
from invdpo.schemas.io.text import shorten
from invdpo.schemas.tables import ANNOTATIONS, CANDIDATES, PROMPTS, SCORES, TYPES

Fingerprint = dict[str, Any]
"""What decided a table's rows: section name -> key -> value, those of the steps before included."""


CONFIG, CONFIG_HASH, VERSION, NOTES = (
    b"invdpo.config",
    b"invdpo.config_hash",
    b"invdpo.version",
    b"invdpo.notes",
)

MAKERS = {
    "prompts.parquet": "prompts",
    "candidates": "generate",
    "annotations": "annotate",
    "scores": "score",
    "pairs.parquet": "pair",
    "pairs.report.json": "pair",
    "dataset": "pair",
}
"""Name in a workspace -> the step that makes it."""
SCHEMAS = {
    "prompts.parquet": PROMPTS,
    "candidates": CANDIDATES,
    "annotations": ANNOTATIONS,
    "scores": SCORES,
}
"""Name in a workspace -> the columns of the table."""


class Header(NamedTuple):
    """What a part says of itself without its rows being read."""

    rows: int
    fingerprint: Fingerprint
    notes: dict[str, Any]


def write_part(
    path: Path, table: pa.Table, fingerprint: Fingerprint, notes: dict[str, Any] | None = None
) -> None:
    """Write a part, completely or not at all. Raises `WorkspaceError` (disk full, read-only)."""
    metadata = {
        CONFIG: canonical_json(fingerprint),
        CONFIG_HASH: content_id(fingerprint),
        VERSION: __version__,
        NOTES: canonical_json(notes or {}),
    }
    with replacing(path) as temporary:
        options = parquet_options(table.schema)
        pq.write_table(table.replace_schema_metadata(metadata), temporary, **options)


def remove_stale(folder: Path) -> None:
    """Remove the temporary files that a killed process left in `folder`."""
    with storage_errors(folder):
        for path in list(folder.glob(".*.tmp")):
            if path.is_file():
                path.unlink(missing_ok=True)


def read_header(path: Path) -> Header:
    """Rows, fingerprint and notes of a part.

    Raises `WorkspaceError` when it is damaged, or a newer version of invdpo made it.
    """
    with _damage(path):
        with reading(path) as source:
            metadata = pq.read_metadata(source)
        extra = metadata.metadata or {}
        _refuse_newer(path, extra.get(VERSION, b"").decode())
        fingerprint = read_json(extra[CONFIG], "its configuration", dict)
        notes = read_json(extra.get(NOTES, b"{}"), "its notes", dict)
        return Header(metadata.num_rows, fingerprint, notes)


def _refuse_newer(path: Path, version: str) -> None:
    """A newer version may use the same names with other meanings."""
    if _release(version) > _release(__version__):
        text = f"{path}: made by invdpo {version}, which is newer than this one ({__version__})."
        raise WorkspaceError(f"{text} Update: pip install --upgrade invdpo")


def _release(version: str) -> tuple[int, ...]:
    """The numbers at the start of a version; none for a text that is no version."""
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in numbers[0].split(".")) if numbers else ()


def read_part(
    path: Path, columns: Sequence[str] | None = None, optional: Sequence[str] = ()
) -> pa.Table:
    """The rows of a part, checksums verified.

    Raises `WorkspaceError` when it is damaged, or lacks a column of its table or of `columns` that
    is not `optional`.
    """
    wanted, remote = list(columns) if columns is not None else None, is_remote(path)
    # Of a remote file, the ranges of all wanted columns are asked for together.
    with (
        _damage(path),
        reading(path) as source,
        pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=remote) as file,
    ):
        known = file.schema_arrow.names
        needed = set(wanted or _columns(path)) - set(optional)
        if lacking := sorted(needed - set(known)):
            raise ValueError(f"no column {', '.join(lacking)}")
        table = file.read(columns=wanted and [name for name in wanted if name in known])
        _check(table)
        return table


def _columns(path: Path) -> list[str]:
    """The columns of the table that `path` is, or is a part of; none for a table without a name."""
    folders = path.parents if path.name.startswith("part-") else (path,)
    return next((SCHEMAS[f.name].names for f in folders if f.name in SCHEMAS), [])


def _check(table: pa.Table) -> None:
    """Raise `ValueError` for columns of other types than ours, and texts that are none."""
    for field in table.schema:
        if field.type != (wanted := TYPES.get(field.name, field.type)):
            raise ValueError(f"column {shorten(field.name)}: {field.type} instead of {wanted}")
    table.validate(full=True)


def exists(path: Path) -> bool:
    """Whether something is there. Raises `WorkspaceError` when a store can't be asked."""
    with storage_errors(path):
        return path.exists()


def list_parts(folder: Path) -> list[Path]:
    """The parts of a folder in order; none when the folder is not there."""
    with storage_errors(folder):
        return sorted(folder.glob("part-*.parquet"))


def maker(path: Path) -> str:
    """The command whose result `path` is, or is part of."""
    for folder in (path, *path.parents):
        if folder.name in MAKERS:
            return f"invdpo curate {MAKERS[folder.name]} {words_of(folder.parent)}"
    return "the command that made it, with"


def differences(stored: Fingerprint, wanted: Fingerprint) -> list[str]:
    """One line for each key whose value differs between two fingerprints."""
    return [
        f"{key}: {old} in the workspace, {new} asked for"
        for key, (old, new) in changed_values(stored, wanted).items()
    ]


def changed_values(stored: Fingerprint, wanted: Fingerprint) -> dict[str, tuple[str, str]]:
    """The keys whose value differs between two fingerprints, and how both values are shown."""
    old, new = _flat(stored), _flat(wanted)
    return {
        key: (_show(old, key), _show(new, key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    }


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        with remote_errors(path):
            yield
    except FileNotFoundError:
        raise WorkspaceError(f"{path}: not found.") from None
    except PermissionError:
        raise WorkspaceError(f"{path}: no permission to read this file.") from None
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0].split(". ")[0].rstrip(".")
        text = f"{path}: damaged, or not a table of invdpo ({reason})."
        text += f" Remake it: {maker(path)} --repair"
        raise WorkspaceError(text) from error


def _flat(value: Fingerprint, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            flat |= _flat(inner, f"{prefix}{key}.")
        else:
            flat[prefix + key] = inner
    return flat


NOTHING = "nothing"
"""How a value is shown that a fingerprint lacks."""


def _show(values: dict[str, Any], key: str) -> str:
    return shorten(canonical_json(values[key])) if key in values else NOTHING
