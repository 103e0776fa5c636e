"""Writes the card of a data set: facts from its files and its report; a person's words stay.

MERGED: What a data set's own files say of it: counts, columns, models and revisions, configuration.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from invdpo.curate.scorers import SCORERS
from invdpo.curate.storage.atomic import replacing
from invdpo.curate.storage.columns import hub_columns
from invdpo.curate.storage.object_store import reading
from invdpo.curate.storage.parts import CONFIG_HASH, NOTES, VERSION, read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError
from invdpo.schemas.config import Config
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.config.load import load_config
from invdpo.schemas.io.redact import redact
from invdpo.schemas.tables import SIDES

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
    from invdpo.data_cards import licence_of, read_licence

    if config.license:
        return {"license": config.license}
    return licence_of(models, {model: read_licence(_readme(model)) for model in models})


def _readme(model: str) -> Path | None:
    """The card of a model of the Hub, from its cache; nothing is downloaded."""
    from huggingface_hub import try_to_load_from_cache

    if model.count("/") != 1:
        return None
    found = try_to_load_from_cache(model, CARD)
    return Path(found) if isinstance(found, str) else None


Facts = dict[str, Any]

Named = tuple[str, str | None]
"""A model and its revision."""


SPLITS = ("train", "validation")

SECTIONS = ("prompts", "generate", "annotate", "score", "pair", "dataset")
"""Of the configuration, as far as they decide a data set."""


def dataset_facts(folder: Path) -> Facts:
    """What the card of a data set is told; raises `DataError` when there are no files in it."""
    files = sorted((folder / "data").glob("*.parquet"))
    if not files:
        raise DataError(f"{folder}: no data set. Expected data/*.parquet there.")
    with reading(files[0]) as source:
        schema = pq.read_schema(source)
    told = schema.metadata or {}
    notes = json.loads(told.get(NOTES, b"{}"))
    models = generators(files)
    rows = [("images", *model) for model in models]
    rows += [("scene graphs", *entry) for entry in notes.get("annotators", {}).items()]
    rows += [("scores", *entry) for entry in notes.get("scorers", {}).items()]
    rows += [("prompts", name, None) for name in notes.get("prompts", ())]
    return {f"num_{split}": pairs_of(folder, split) for split in SPLITS} | {
        "images": _images(files),
        "features": hub_columns(schema),
        "scorers": list(notes.get("scorers", {})),
        "models": sorted({name for name, _ in models}),
        "sources": rows,
        "origin": notes.get("origin"),
        "config_hash": told.get(CONFIG_HASH, b"").decode(),
        "version": told.get(VERSION, b"").decode(),
    }


def judges(ws: Workspace, scorers: Sequence[str], annotator: str | None) -> Facts:
    """Name -> revision of scorers and annotator, and where prompts come from, by their tables."""
    names = [annotator] if annotator else []
    sources = pc.unique(ws.read_table(ws.prompts_path, ["source"])["source"]).drop_null()
    return {
        "scorers": {name: _revision(ws, ws.scores_dir(name)) for name in scorers},
        "annotators": {name: _revision(ws, ws.annotations_dir(name)) for name in names},
        "prompts": sorted(sources.to_pylist()),
    }


def _revision(ws: Workspace, folder: Path) -> str | None:
    """Of a table whose parts are all of one revision."""
    column = read_part(ws.iter_parts(folder)[0], ["revision"])["revision"]
    return next((value for value in pc.unique(column).to_pylist() if value), None)


def pairs_of(folder: Path, split: str) -> int:
    """How many pairs of a split a data set has."""
    files = sorted((folder / "data").glob(f"{split}-*.parquet"))
    return sum(len(_columns(path, ["pair_id"])) for path in files)


def _columns(path: Path, names: Sequence[str]) -> pa.Table:
    with reading(path) as source, pq.ParquetFile(source) as file:
        return file.read(columns=list(names))


def _images(files: Sequence[Path]) -> int:
    """Different pictures, by their candidates' ids."""
    table = pa.concat_tables(_columns(path, [f"{side}_id" for side in SIDES]) for path in files)
    chunks = [chunk for side in SIDES for chunk in table[f"{side}_id"].chunks]
    return len(pc.unique(pa.chunked_array(chunks, pa.string())).drop_null())


def generators(files: Sequence[Path]) -> list[Named]:
    """Name and revision of every model that drew a picture of the set, sorted by name."""
    found = {named for path in files for named in _generators(path)}
    return sorted(found, key=lambda named: (named[0], named[1] or ""))


def _generators(path: Path) -> Iterator[Named]:
    names = ("model", "revision")
    for side in ("", "rejected_"):
        table = _columns(path, [side + name for name in names]).rename_columns(names)
        for row in table.group_by(list(names)).aggregate([]).to_pylist():
            if row["model"]:
                yield row["model"], row["revision"]


def deciding(config: Config) -> Facts:
    """Section -> option -> value, of all that decided a data set; paths cut to their last part."""
    told: Facts = {}
    for name in SECTIONS:
        values = getattr(config, name).fingerprint()
        used = {k: v for k, v in values.items() if v is not None and not _idle(k, config)}
        if used:
            told[name] = {key: redact(value) for key, value in used.items()}
    return told


def _idle(option: str, config: Config) -> bool:
    """Whether an option is of a plug-in that was not used: its name begins with the plug-in's."""
    owner = option.split("_")[0]
    if owner == "hub":
        return config.prompts.source != owner
    return owner in SCORERS.names() and owner not in config.score.scorers and "_" in option
