"""`export_dataset`: a dataset of ours in the layout of others."""

from __future__ import annotations

from pathlib import Path

import yaml

from invdpo import __version__
from invdpo.curate.dataset.card import file_facts
from invdpo.curate.dataset.folder import CARD, SPLITS, DatasetFolder
from invdpo.curate.exchange.base import EXPORTS, ExchangeResult
from invdpo.curate.exchange.derive import check_ids
from invdpo.curate.exchange.folders import folders_metadata
from invdpo.curate.exchange.ours import SourceDataset
from invdpo.curate.storage.atomic import replacing_folder
from invdpo.schemas import DataError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.io.documents import as_written
from invdpo.schemas.layouts.rows import UNREADABLE

KEPT = (
    "license",
    "license_name",
    "license_link",
    "language",
    "task_categories",
    "annotations_creators",
    "size_categories",
)
"""Keys of the card's head that hold for the same pairs in another layout."""


def export_dataset(
    dataset: Path, layout: str, output: Path, config: DatasetConfig
) -> ExchangeResult:
    """Write the pairs of a dataset to a new folder; images keep their bytes unless asked.

    Rows with an image that can't be read are left out and counted.

    Args:
        dataset: Folder of the dataset, or of its workspace.
        layout: A name of `EXPORTS`.
        output: A folder that does not exist yet, or is empty.
        config: Format of images.

    Raises `PluginError` for an unknown layout, `DataError` when there is no dataset, or no pair in
    it, when an id occurs twice or the output holds something, and for a damaged file.
    """
    export = EXPORTS[layout]
    folder = DatasetFolder.find(dataset)
    source, result = SourceDataset(folder, config), ExchangeResult(output)
    with replacing_folder(output, ours=()) as new, as_written(dataset):
        result.pairs.update({s: n for s in SPLITS if (n := folder.count_pairs(s))})
        for (split, path), rows in source.unreadable.items():
            result.pairs[split] -= len(rows)
            for row in sorted(rows):
                result.skip(UNREADABLE, f"data/{path.name} row {row}")
        if result.skipped and not result.pairs.total():
            raise DataError(f"{dataset}: no pair in it ({UNREADABLE}: {result.skipped.total()}).")
        check_ids(folder, source.columns(["pair_id"]))  # by which files are named
        export(source, new)
        (new / CARD).write_text(_card(folder, layout, new), encoding="utf-8")
    return result


def _card(folder: DatasetFolder, layout: str, new: Path) -> str:
    """A short one: under which licence, and where it comes from."""
    from invdpo.data_cards.escape import plain
    from invdpo.data_cards.head import split_head
    from invdpo.data_cards.metadata import CONTENT_HASH, files_metadata

    head, _ = split_head(folder.read_card() or "", CARD)
    metadata = {key: head[key] for key in KEPT if key in head}
    if (new / "data").is_dir():
        metadata |= files_metadata(file_facts(DatasetFolder(new)))
    elif layout == "folders":
        metadata |= folders_metadata(new, CONTENT_HASH)
    name = plain(head.get("pretty_name") or folder.path.resolve().name)
    text = f"Preference pairs of {name} in the layout `{layout}`, exported by invdpo {__version__}."
    return f"---\n{yaml.safe_dump(metadata, sort_keys=False)}---\n\n# {name}\n\n{text}\n"
