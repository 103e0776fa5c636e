"""A workspace as an archive that may leave this machine: packed into few files, and unpacked.

The archive leaves out the images that the dataset beside it has; unpacking takes them from there.
"""

from __future__ import annotations

import json
import shutil
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from invdpo.curate.dataset.archive_tables import (
    Redact,
    Transform,
    drop_images,
    pack_table,
    redact_columns,
    unchanged,
    unpack_table,
)
from invdpo.curate.dataset.folder import DatasetFolder, RowLocation, open_shard
from invdpo.curate.storage.parts import read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import ConfigError
from invdpo.schemas.config.load import dump_config, load_config
from invdpo.schemas.config.trust import portable
from invdpo.schemas.io.documents import read_file, read_json
from invdpo.schemas.tables import SIDES

PackedImages = Literal["none", "others", "all"]
"""Images that go with the candidates; `others` are those of no pair."""

REVIEWS = "reviews.parquet"
PLAIN_FILES = ("pairs.report.json", REVIEWS)
"""Copied as they are when an archive is unpacked."""
CACHED_GROUPS = 4
"""Row groups in memory: sets are written in the order of candidates, each split in its own."""


def pack_workspace(ws: Workspace, folder: Path, images: PackedImages, redact: Redact) -> list[Path]:
    """Write the tables, the report and the configuration into `folder`; return the files.

    What a run noted in them passes through `redact`. Raises `WorkspaceError` for tables that are
    missing or damaged.
    """
    pack = partial(pack_table, redact=redact)
    parts = ws.iter_parts(ws.candidates_dir)
    files = [
        *pack([ws.need(ws.prompts_path)], folder / "prompts"),
        *pack([ws.need(ws.pairs_path)], folder / "pairs"),
        *pack(parts, folder / "candidates", transform=_dropping_images(ws, images)),
    ]
    for kind in ("annotations", "scores"):
        for table in sorted(path for path in (ws.root / kind).glob("[!.]*") if path.is_dir()):
            files += pack(ws.iter_parts(table), folder / kind / table.name)
    return [*files, *_pack_texts(ws, folder, redact), *_pack_reviews(ws, folder, redact)]


def _dropping_images(ws: Workspace, images: PackedImages) -> Transform:
    """What is done to each part of candidates before it is packed."""
    if images == "all":
        return unchanged
    if images == "none":
        return drop_images
    pairs = ws.read_table(ws.pairs_path, ["chosen_id", "rejected_id"])
    ids = pa.concat_arrays([column.combine_chunks() for column in pairs.columns])
    return partial(drop_images, of=ids)


def _pack_texts(ws: Workspace, folder: Path, redact: Redact) -> list[Path]:
    report = read_json(read_file(ws.need(ws.report_path)), ws.report_path, dict)
    ws.need(ws.config_path)
    config, _ = portable(ws.read_config())
    redacted = type(config).model_validate(redact(config.model_dump(mode="json")))
    texts = {
        ws.report_path.name: json.dumps(redact(report), indent=1, ensure_ascii=False),
        ws.config_path.name: dump_config(redacted),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def _pack_reviews(ws: Workspace, folder: Path, redact: Redact) -> list[Path]:
    """What people decided, their notes redacted; nothing where nobody did."""
    if not ws.reviews_path.is_file():
        return []
    table = redact_columns(read_part(ws.reviews_path), redact)
    pq.write_table(table, folder / REVIEWS, write_page_checksum=True)
    return [folder / REVIEWS]


def unpack_workspace(archive: Path, dataset: DatasetFolder, root: Path) -> list[str]:
    """Write the tables packed in the folder `archive` into a workspace at `root`.

    Candidates get the images that the dataset has; others stay without one, unless they were
    packed with it. Of the configuration comes what decides results; returned is what the user
    should know of the rest. Raises `DataError` for files that are no packed tables.
    """
    ws = Workspace(root)
    root.mkdir(parents=True, exist_ok=True)
    for name in ("prompts", "pairs"):
        unpack_table(_packed_files(archive, name), root)
    pairs = read_part(ws.pairs_path, ["pair_id", "chosen_id", "rejected_id"])
    images = DatasetImages(dataset, pairs)
    unpack_table(_packed_files(archive, "candidates"), ws.candidates_dir, images.restore)
    for kind in ("annotations", "scores"):
        names = {path.name.rsplit("-", 3)[0] for path in (archive / kind).glob("*.parquet")}
        for name in sorted(names):
            unpack_table(_packed_files(archive / kind, name), root / kind / name)
    for name in PLAIN_FILES:
        if (archive / name).is_file():
            shutil.copyfile(archive / name, root / name)
    return _unpack_config(archive / ws.config_path.name, ws)


def _unpack_config(packed: Path, ws: Workspace) -> list[str]:
    """Write what may come from another machine; notes on what was left out."""
    if not packed.is_file():
        return []
    try:
        config, dropped = portable(load_config(packed))
    except ConfigError as error:
        reason = str(error).removeprefix(f"{packed}: ")
        return [f"{packed.name}: left out, because it can't be used here: {reason}"]
    ws.save_config(config)
    return (
        [f"{packed.name}: left out {', '.join(dropped)}, which are not taken from another machine"]
        if dropped
        else []
    )


def _packed_files(folder: Path, stem: str) -> list[Path]:
    return sorted(folder.glob(f"{stem}-?????-of-?????.parquet"))


class DatasetImages:
    """The images of a dataset, by the candidate that each is of."""

    def __init__(self, dataset: DatasetFolder, pairs: pa.Table) -> None:
        """`pairs` has `pair_id`, `chosen_id` and `rejected_id`."""
        candidates = {
            row["pair_id"]: [row[f"{side}_id"] for side in SIDES] for row in pairs.to_pylist()
        }
        self._locations: dict[str, tuple[RowLocation, str]] = {}
        for location, record in dataset.rows(["pair_id"], required=["pair_id"]):
            ids = candidates.get(record["pair_id"], ())
            for side, candidate in zip(SIDES, ids, strict=False):
                self._locations.setdefault(candidate, (location, side))
        self._read_group = lru_cache(CACHED_GROUPS)(_read_group)

    def restore(self, candidates: pa.Table) -> pa.Table:
        """The same rows, with an image wherever one was missing and the dataset has it."""
        index = candidates.column_names.index("image")
        field = candidates.schema.field(index)
        images = [
            self._image(candidate) if image is None else image
            for candidate, image in zip(
                candidates["candidate_id"].to_pylist(), candidates["image"].to_pylist(), strict=True
            )
        ]
        return candidates.set_column(index, field, pa.array(images, field.type))

    def _image(self, candidate: str) -> Any:
        if candidate not in self._locations:
            return None
        location, side = self._locations[candidate]
        return self._read_group(location.path, location.group)[side][location.row].as_py()


def _read_group(path: Path, group: int) -> pa.Table:
    with open_shard(path) as file:
        return file.read_row_group(group, list(SIDES))
