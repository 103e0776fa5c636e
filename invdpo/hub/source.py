"""The dataset on this machine that is pushed: complete, and with the workspace it came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invdpo.schemas import DataError
from invdpo.schemas.io.documents import read_json

if TYPE_CHECKING:
    from invdpo.curate.dataset.folder import DatasetFolder
    from invdpo.curate.workspace import Workspace

AGAIN = "invdpo curate pair --overwrite"
SHARD = re.compile(r"(?P<split>[a-z]+)-(?P<n>\d{5})-of-(?P<total>\d{5})\.parquet")
OWN_FILES = ("README.md", "data/*.parquet", "assets/**/*")
"""Files that belong to a dataset; anything else in its folder is not pushed."""


@dataclass(frozen=True)
class LocalDataset:
    """A dataset, and its workspace if that is pushed too."""

    folder: Path
    workspace: Workspace | None
    fingerprint: dict[str, Any]
    """What made it; empty when its files do not say."""
    pairs: int
    card: str


def find_dataset(path: Path) -> LocalDataset:
    """The dataset at `path`, a folder with `data/` in it, or of the workspace at `path`.

    Raises `DataError` for what is neither, for missing or damaged shards, for a card
    without `configs` and `dataset_info`, and for a set of other pairs than the workspace's;
    `WorkspaceError` where these were chosen from other candidates or scores than are there.
    """
    from invdpo.curate.dataset.folder import DatasetFolder
    from invdpo.curate.fingerprints import require_current_pairs

    if "://" in str(path) or ":/" in str(path)[:12]:
        raise DataError(
            f"{path}: on an object store, from which push can't read. Copy it to this machine "
            "and push the copy."
        )
    folder = DatasetFolder.find(path)
    card = _read_card(folder)
    fingerprint, pairs = _read_shards(folder)
    if folder.workspace is not None:
        _check_same_pairs(folder.workspace, fingerprint, pairs)
        require_current_pairs(folder.workspace)
    _check_content(folder, card)
    return LocalDataset(folder.path, folder.workspace, fingerprint, pairs, card)


def _read_card(folder: DatasetFolder) -> str:
    from invdpo.data_cards.head import split_head

    path = folder.path / "README.md"
    text = folder.read_card()
    if text is None:
        raise DataError(f"{path}: the card is missing. Write the dataset again: {AGAIN}")
    head, _ = split_head(text, str(path))
    if missing := [key for key in ("configs", "dataset_info") if key not in head]:
        raise DataError(
            f"{path}: its YAML head lacks {' and '.join(missing)}, which the Hub and `datasets` "
            "need to find splits and images.\nRestore them, or remove the file and write the "
            f"dataset again: {AGAIN}"
        )
    return text


def _check_content(folder: DatasetFolder, card: str) -> None:
    """Refuse shards that are not those the card was written for; cards made before have no hash."""
    from invdpo.data_cards.head import split_head
    from invdpo.data_cards.metadata import stored_content_hash

    written = stored_content_hash(split_head(card, "")[0])
    if written and written != folder.content_hash():
        raise DataError(
            f"{folder.path / 'data'}: these files differ from those that the card describes: "
            f"they are damaged or were changed. Write the dataset again: {AGAIN}\nIf you changed "
            "them yourself, write the card again: invdpo curate card"
        )


def _read_shards(folder: DatasetFolder) -> tuple[dict[str, Any], int]:
    """What made the set, and the number of pairs. Raises `DataError` for missing or bad shards."""
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
        total, count = max(numbers), len(folder.shards(split))
        if len(numbers) > 1 or count != total:
            raise DataError(
                f"{folder.path / 'data'}: found {count} shards of {split}; their names say "
                f"{total}. Write the dataset again: {AGAIN}"
            )
    return read_json(fingerprint, f"{folder.path}: its configuration", dict), pairs


def _check_same_pairs(ws: Workspace, fingerprint: dict[str, Any], pairs: int) -> None:
    """Refuse a dataset of other pairs than those in the table of the workspace."""
    from invdpo.curate.storage.parts import differences, read_header

    table = read_header(ws.need(ws.pairs_path))
    shared = {key: fingerprint.get(key) for key in table.fingerprint}
    if table.rows != pairs or differences(shared, table.fingerprint):
        again = f"invdpo curate pair {ws.set_words} --overwrite"
        raise DataError(
            f"{ws.dataset_dir}: not made from the pairs in {ws.pairs_path.name}. Write it again: "
            f"{again}"
        )
