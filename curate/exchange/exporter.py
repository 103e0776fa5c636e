"""`export_dataset`: a data set of ours in the layout of others."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import yaml

from invdpo import __version__
from invdpo.curate.dataset.folder import CARD, SPLITS, DatasetFolder
from invdpo.curate.exchange.base import EXPORTS, ExchangeResult
from invdpo.curate.exchange.ours import SourceDataset
from invdpo.curate.storage.atomic import replacing_folder
from invdpo.schemas.config.dataset import DatasetConfig

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
    """Write the pairs of a data set to a new folder; images keep their bytes unless asked.

    Args:
        dataset: Folder of the data set, or of its workspace.
        layout: A name of `EXPORTS`.
        output: A folder that does not exist yet, or is empty.
        config: Format of images.

    Raises `PluginError` for an unknown layout, `DataError` when there is no data set, when the
    output holds something, and for a damaged file.
    """
    export = EXPORTS[layout]
    folder = DatasetFolder.find(dataset)
    with replacing_folder(output, ours=()) as new:
        export(SourceDataset(folder, config), new)
        (new / CARD).write_text(_card(folder, layout, new), encoding="utf-8")
    return ExchangeResult(output, Counter({s: n for s in SPLITS if (n := folder.count_pairs(s))}))


def _card(folder: DatasetFolder, layout: str, new: Path) -> str:
    """A short one: under which licence, and where it comes from."""
    from invdpo.data_cards.escape import plain
    from invdpo.data_cards.head import split_head

    head, _ = split_head(folder.read_card() or "", CARD)
    metadata = {key: head[key] for key in KEPT if key in head}
    if (new / "data").is_dir():
        files = [
            {"split": split, "path": f"data/{split}-*.parquet"}
            for split in SPLITS
            if any((new / "data").glob(f"{split}-*"))
        ]
        metadata["configs"] = [{"config_name": "default", "data_files": files}]
    name = plain(head.get("pretty_name") or folder.path.resolve().name)
    text = f"Preference pairs of {name} in the layout `{layout}`, exported by invdpo {__version__}."
    return f"---\n{yaml.safe_dump(metadata, sort_keys=False)}---\n\n# {name}\n\n{text}\n"
