"""Writes the card of a data set: facts from its files and its report; a person's words stay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from invdpo.curate.facts import dataset_facts, deciding
from invdpo.curate.parts import replacing
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import DatasetConfig
from invdpo.schemas.load import load_config

ASSETS = "assets"
CARD = "README.md"


def renew_card(ws: Workspace, config: DatasetConfig) -> Path:
    """Write the card of the workspace's data set anew, with the plots that there are now.

    Raises `WorkspaceError` without a data set, `DataError` for a card whose head is broken.
    """
    folder = ws.need(ws.dataset_dir)
    write_card(ws, folder, config, read_card(folder))
    return folder / CARD


def write_card(ws: Workspace, folder: Path, config: DatasetConfig, old: str | None) -> None:
    """Write the card of the data set in `folder`, with what a person changed in the `old` one."""
    from invdpo.data_cards import render_dataset_card, renewed

    new = render_dataset_card(_facts(ws, folder, config))
    text = renewed(new, old, str(ws.dataset_dir / CARD))
    for plot in _plots(ws):
        with replacing(folder / ASSETS / plot.name) as temporary:
            temporary.write_bytes(plot.read_bytes())
    with replacing(folder / CARD) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_card(folder: Path) -> str | None:
    """The card that is there, if one is. Raises `DataError` when its head can't be read."""
    from invdpo.data_cards.renewing import parts

    path = folder / CARD
    if not path.exists():
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    parts(text, str(path))
    return text


def _facts(ws: Workspace, folder: Path, config: DatasetConfig) -> dict[str, Any]:
    """What the card is told: by the files of the data set, and by the workspace."""
    report: dict[str, Any] = {}
    if ws.report_path.exists():
        report = json.loads(ws.report_path.read_text(encoding="utf-8"))
    found = dataset_facts(folder)
    return (
        found
        | {
            "name": ws.root.resolve().name,
            "report": report,
            "dropped": report.get("prompts", {}).get("dropped", {}),
            "plots": [
                {"title": plot.stem.replace("_", " "), "path": f"{ASSETS}/{plot.name}"}
                for plot in _plots(ws)
            ],
            "config": deciding(load_config(ws.config_path)) if ws.config_path.exists() else None,
        }
        | _licence(found["models"], config)
    )


def _plots(ws: Workspace) -> list[Path]:
    """Of the report page, if it was made."""
    return sorted((ws.root / "report").glob("*.png"))


def _licence(models: Sequence[str], config: DatasetConfig) -> dict[str, Any]:
    """As asked for; else what the models' own cards say, as far as they are on this machine."""
    from invdpo.data_cards import licence_of, told_licence

    if config.license:
        return {"license": config.license}
    return licence_of(models, {model: told_licence(_readme(model)) for model in models})


def _readme(model: str) -> Path | None:
    """The card of a model of the Hub, from its cache; nothing is downloaded."""
    from huggingface_hub import try_to_load_from_cache

    if model.count("/") != 1:
        return None
    found = try_to_load_from_cache(model, CARD)
    return Path(found) if isinstance(found, str) else None
