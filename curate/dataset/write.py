"""Writes the preference dataset: pairs with their images, graphs and scores, ready to publish.

It is written to a temporary folder beside the final one and moved there when it is complete, so
nothing half-written can be taken for a dataset.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from invdpo import __version__
from invdpo.curate.dataset.card import ASSETS, origin_notes, write_card
from invdpo.curate.dataset.folder import CARD, SPLITS, DatasetFolder
from invdpo.curate.dataset.hashed_files import HashedFiles
from invdpo.curate.dataset.reencode import reencode_images
from invdpo.curate.dataset.rows import PairRows, read_ahead
from invdpo.curate.dataset.shards import SHARD_BYTES, ShardWriter
from invdpo.curate.storage.atomic import replacing_folder
from invdpo.curate.storage.columns import hub_metadata
from invdpo.curate.storage.parts import CONFIG, CONFIG_HASH, NOTES, VERSION, Fingerprint
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.ids import canonical_json, content_id

ROUND = pa.field("round", pa.int32())
OURS = ("data", ASSETS, CARD)
"""What we write into a dataset's folder; anything else there was put by a person."""


def write_dataset(
    ws: Workspace,
    pairs: pa.Table,
    fingerprint: Fingerprint,
    *,
    annotator: str | None,
    config: DatasetConfig | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Write `dataset/` again from the pairs table; an older one stays until the new one is ready.

    The scores are those the pairs table has a `delta_` column of; graphs are `annotator`'s, null
    when it is None. Images keep their bytes unless `config` asks for a format. The card includes
    the report of the workspace, if there is one. Raises `DataError` when there is no pair, or one
    whose candidates are gone; `WorkspaceError` for damaged parts and full disks.
    """
    if not len(pairs):
        raise DataError(f"There is no pair to write. See {ws.report_path} for the reasons.")
    config, card = config or DatasetConfig(), DatasetFolder(ws.dataset_dir).read_card()
    rows = PairRows(ws, pairs, annotator)
    notes = origin_notes(ws, rows.scorers, annotator)
    columns = rows.schema if config.round is None else rows.schema.append(ROUND)
    schema = columns.with_metadata(file_metadata(columns, fingerprint, notes))
    with replacing_folder(ws.dataset_dir) as new:
        (new / "data").mkdir()
        tables = (
            (split, _with_round(reencode_images(table, config), config.round))
            for split, table in rows.tables()
        )
        written = write_splits(
            new / "data", read_ahead(tables), schema, shard_bytes, cached=not rows.many
        )
        write_card(ws, DatasetFolder(new, hashes=written.hashes), config, card)
        _copy_others(ws.dataset_dir, new)
    return ws.dataset_dir


def _with_round(table: pa.Table, number: int | None) -> pa.Table:
    """The table with the column that says in which round its images were generated."""
    if number is None:
        return table
    return table.append_column(ROUND, pa.array([number] * len(table), ROUND.type))


def _copy_others(old: Path, new: Path) -> None:
    """Copy what a person put beside the dataset's own files."""
    for path in old.iterdir() if old.exists() else ():
        if path.name in OURS:
            continue
        target = new / path.name
        if path.is_dir():
            shutil.copytree(path, target, symlinks=True)
        else:
            target.write_bytes(path.read_bytes())


def file_metadata(
    schema: pa.Schema, fingerprint: Fingerprint, notes: Mapping[str, Any]
) -> dict[str, str]:
    """What every file of a dataset says of itself, for `datasets` and for the card."""
    return hub_metadata(schema) | {
        NOTES.decode(): canonical_json(notes),
        CONFIG.decode(): canonical_json(fingerprint),
        CONFIG_HASH.decode(): content_id(fingerprint),
        VERSION.decode(): __version__,
    }


class Written(NamedTuple):
    """What `write_splits` has written."""

    pairs: dict[str, int]
    """Split -> rows."""
    hashes: dict[str, str]
    """Name of a file -> its SHA-256."""


def write_splits(
    folder: Path,
    tables: Iterable[tuple[str, pa.Table]],
    schema: pa.Schema,
    shard_bytes: int = SHARD_BYTES,
    *,
    cached: bool = True,
) -> Written:
    """Write rows, each with its split, as shards, which stay in memory as well if `cached`."""
    hashes: dict[str, str] = {}
    with HashedFiles(cached=cached) as files:
        writers = {
            split: ShardWriter(folder, split, schema, files, shard_bytes) for split in SPLITS
        }
        try:
            for split, table in tables:
                writers[split].add(table)
            for writer in writers.values():
                writer.finish()
            for writer in writers.values():
                hashes |= writer.close()
        finally:
            for writer in writers.values():
                writer.stop()
    return Written({split: writer.count for split, writer in writers.items()}, hashes)
