"""`export_set`: a data set of ours in somebody else's layout."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from invdpo import __version__
from invdpo.curate.dataset.card import CARD, SPLITS, pairs_of, read_card
from invdpo.curate.exchange.base import EXPORTS, Exchanged
from invdpo.curate.exchange.ours import OurSet, set_folder
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
"""Of the card's head: what holds for the same pairs in another layout."""


def export_set(dataset: Path, to: str, output: Path, config: DatasetConfig) -> Exchanged:
    """Write the pairs of a data set to a new folder; pictures keep their bytes unless asked.

    Args:
        dataset: Folder of the data set, or of its workspace.
        to: A name of `EXPORTS`.
        output: A folder that is not there yet, or is empty.
        config: Format of pictures.

    Raises `PluginError` for an unknown layout, `DataError` when there is no data set, when the
    output holds something, and for a damaged file.
    """
    export = EXPORTS[to]
    folder = set_folder(dataset)
    with replacing_folder(output, ours=()) as new:
        export(OurSet(folder, config), new)
        (new / CARD).write_text(_card(folder, to, new), encoding="utf-8")
    return Exchanged(output, Counter({s: n for s in SPLITS if (n := pairs_of(folder, s))}))


def _card(folder: Path, to: str, new: Path) -> str:
    """A short one: under which licence, and where it comes from."""
    from invdpo.data_cards.escape import plain
    from invdpo.data_cards.renewing import parts

    head, _ = parts(read_card(folder) or "", CARD)
    told: dict[str, Any] = {key: head[key] for key in KEPT if key in head}
    if (new / "data").is_dir():
        files = [
            {"split": split, "path": f"data/{split}-*.parquet"}
            for split in SPLITS
            if any((new / "data").glob(f"{split}-*"))
        ]
        told["configs"] = [{"config_name": "default", "data_files": files}]
    name = plain(head.get("pretty_name") or folder.resolve().name)
    text = f"Preference pairs of {name} in the layout `{to}`, exported by invdpo {__version__}."
    return f"---\n{yaml.safe_dump(told, sort_keys=False)}---\n\n# {name}\n\n{text}\n"
