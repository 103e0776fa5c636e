"""What lies here: a data set to push, whole and of one piece, and the workspace it came from."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invdpo.schemas import DataError

if TYPE_CHECKING:
    from invdpo.curate.dataset.folder import DatasetFolder
    from invdpo.curate.workspace import Workspace

SHARD = re.compile(r"(?P<split>[a-z]+)-(?P<n>\d{5})-of-(?P<total>\d{5})\.parquet")
OWN_FILES = ("README.md", "data/*.parquet", "assets/**/*")
"""What belongs to a data set; all else in its folder stays here."""


@dataclass(frozen=True)
class Source:
    """A data set, and its workspace if that shall go along."""

    dataset: Path
    workspace: Workspace | None
    fingerprint: dict[str, Any]
    """What made it; empty when its files don't say."""
    pairs: int
    card: str


def find_source(path: Path) -> Source:
    """The data set at `path`, a folder with `data/` in it, or in the workspace at `path`.

    Raises `DataError` for what is neither, for shards that are missing or damaged, for a card
    without `configs` and `dataset_info`, and for a set of other pairs than the workspace's.
    """
    from invdpo.curate.dataset.folder import DatasetFolder
    from invdpo.curate.workspace import Workspace

    if "://" in str(path) or ":/" in str(path)[:12]:
        raise DataError(f"{path}: on an object store. Copy it to this machine and push that.")
    folder = DatasetFolder.find(path)
    card = _card(folder)
    fingerprint, pairs = _shards(folder)
    workspace = Workspace(folder.workspace) if folder.workspace else None
    if workspace is not None:
        _check_pairs(workspace, fingerprint, pairs)
    return Source(folder.path, workspace, fingerprint, pairs, card)


def _card(folder: DatasetFolder) -> str:
    from invdpo.data_cards.head import split_head

    path = folder.path / "README.md"
    text = folder.read_card()
    if text is None:
        raise DataError(f"{path}: no card. Write the set anew: invdpo curate pair --overwrite")
    head, _ = split_head(text, str(path))
    if lost := [key for key in ("configs", "dataset_info") if key not in head]:
        raise DataError(
            f"{path}: its YAML head lacks {' and '.join(lost)}, by which the Hub and `datasets` "
            "know splits and pictures.\nPut them back, or remove the file and write the set anew: "
            "invdpo curate pair --overwrite"
        )
    return text


def _shards(folder: DatasetFolder) -> tuple[dict[str, Any], int]:
    """What made the set, and its pairs. Raises `DataError` when a shard is missing or damaged."""
    from invdpo.curate.dataset.folder import open_shard

    totals: dict[str, set[int]] = {}
    fingerprint, pairs = "{}", 0
    for path in folder.shards():
        with open_shard(path) as file:
            metadata = file.metadata
        pairs += metadata.num_rows
        fingerprint = (metadata.metadata or {}).get(b"invdpo.config", fingerprint)
        if match := SHARD.fullmatch(path.name):
            totals.setdefault(match["split"], set()).add(int(match["total"]))
    for split, numbers in totals.items():
        total = max(numbers)
        there = len(folder.shards(split))
        if len(numbers) > 1 or there != total:
            raise DataError(
                f"{folder.path / 'data'}: {there} shards of {split}, whose names tell of {total}. "
                "Write the set anew: invdpo curate pair --overwrite"
            )
    return json.loads(fingerprint), pairs


def _check_pairs(ws: Workspace, fingerprint: dict[str, Any], pairs: int) -> None:
    """Refuse a set that is of other pairs than the table beside it."""
    from invdpo.curate.storage.parts import differences, read_header

    table = read_header(ws.need(ws.pairs_path))
    shared = {key: fingerprint.get(key) for key in table.fingerprint}
    if table.rows != pairs or differences(shared, table.fingerprint):
        again = f"invdpo curate pair {shlex.quote(str(ws.root))} --overwrite"
        raise DataError(
            f"{ws.dataset_dir}: made from other pairs than those of {ws.pairs_path.name}. "
            f"Write it anew: {again}"
        )
