"""The card of a dataset: facts from its files and its workspace; a person's words stay."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate.dataset.folder import CARD, SPLITS, DatasetFolder, open_shard
from invdpo.curate.prompts.base import split_group
from invdpo.curate.scorers import SCORERS
from invdpo.curate.storage.atomic import replacing
from invdpo.curate.storage.columns import hub_columns
from invdpo.curate.storage.cuts import count_cut
from invdpo.curate.storage.parts import CONFIG, CONFIG_HASH, NOTES, VERSION, read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError, SceneGraph
from invdpo.schemas.config import Config
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.ids import content_id, prompt_key
from invdpo.schemas.io.documents import as_written, read_file, read_json
from invdpo.schemas.io.redact import redact
from invdpo.schemas.io.text import quote
from invdpo.schemas.tables import SIDES

log = logging.getLogger("invdpo.curate")

Facts = dict[str, Any]
Model = tuple[str, str | None]
"""A model and its revision."""

ASSETS = "assets"
SECTIONS = ("prompts", "generate", "annotate", "score", "pair", "dataset")
"""Of the configuration, as far as they decide a dataset."""


def renew_card(ws: Workspace, config: DatasetConfig) -> Path:
    """Write the card of the workspace's dataset again, with the plots that there are now.

    The workspace keeps the licence of `config` for later. Raises `WorkspaceError` without a data
    set, `DataError` for a card whose head is broken.
    """
    folder = DatasetFolder(ws.need(ws.dataset_dir))
    write_card(ws, folder, config, folder.read_card())
    earlier = ws.read_config()
    if ws.configs() and earlier.dataset.license != config.license:
        kept = earlier.dataset.model_copy(update={"license": config.license})
        ws.save_config(earlier.model_copy(update={"dataset": kept}))
    return folder.path / CARD


def write_card(
    ws: Workspace, folder: DatasetFolder, config: DatasetConfig, old: str | None
) -> None:
    """Write the card of the dataset in `folder`, with what a person changed in the `old` one.

    Plots and figures of the report are left out where they are of another pairing.
    """
    from invdpo.data_cards import render_dataset_card, renewed
    from invdpo.data_cards.head import split_head

    with as_written(f"{ws.report_path}, or the notes in {folder.path / 'data'}"):
        new = render_dataset_card(_facts(ws, folder, config))
    card = str(ws.dataset_dir / CARD)
    text = renewed(new, old, card)
    found = split_head(text, card)[0].get("license")
    if config.license and found != config.license:
        log.warning(
            f"{card}: keeps the licence {quote(found)}, set there by hand. Change it there."
        )
    assets, plots = folder.path / ASSETS, _plots(ws, folder)
    for name in {path.name for path in assets.glob("*.png")} - {plot.name for plot in plots}:
        (assets / name).unlink()
    for plot in plots:
        with replacing(assets / plot.name) as temporary:
            temporary.write_bytes(plot.read_bytes())
    with replacing(folder.path / CARD) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_dataset_card(
    folder: Path,
    name: str,
    config: DatasetConfig,
    old: str | None = None,
    hashes: Mapping[str, str] | None = None,
) -> Path:
    """Write the card of a dataset that has no workspace, such as an imported one.

    What a person changed in the `old` one stays, and so does its licence unless given. `hashes` are
    those of the files that are known.
    """
    from invdpo.data_cards import render_dataset_card, renewed

    facts = dataset_facts(DatasetFolder(folder, hashes=hashes or {}))
    facts |= {"name": name, "license": config.license or card_licence(old) or "other"}
    text = renewed(render_dataset_card(facts), old, str(folder / CARD))
    with replacing(folder / CARD) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return folder / CARD


def card_licence(card: str | None) -> str | None:
    """The licence that a card names, as far as it can be read."""
    from invdpo.data_cards.head import split_head

    with suppress(DataError):
        licence = split_head(card or "", CARD)[0].get("license")
        return licence if isinstance(licence, str) and licence.isprintable() else None
    return None


def _facts(ws: Workspace, folder: DatasetFolder, config: DatasetConfig) -> Facts:
    """What the card says: from the files of the dataset, and from the workspace."""
    report = _report(ws, folder)
    facts = dataset_facts(folder)
    facts |= {
        "name": ws.title,
        "report": report,
        "dropped": report.get("prompts", {}).get("dropped", {}),
        "plots": [
            {"title": plot.stem.replace("_", " "), "path": f"{ASSETS}/{plot.name}"}
            for plot in _plots(ws, folder)
        ],
        "config": None,
    }
    if ws.configs():
        facts["config"] = deciding_options(ws.read_config())
    return facts | _licence(facts["models"], config)


def _report(ws: Workspace, folder: DatasetFolder) -> Facts:
    """What the pairing says of itself; nothing where a later one, without a dataset, says it."""
    if not ws.report_path.exists():
        return {}
    report: Facts = read_json(read_file(ws.report_path), ws.report_path, dict)
    options = _made_by(folder).get("pair")
    return report if report.get("config", options) == options else {}


def _plots(ws: Workspace, folder: DatasetFolder) -> list[Path]:
    """Of the report page, if it was made of these pairs, which it names by what made them."""
    page = ws.report_dir / "index.html"
    made_by = content_id(_made_by(folder))
    if not page.exists() or made_by.encode() not in page.read_bytes():
        return []
    return sorted(ws.report_dir.glob("*.png"))


def _made_by(folder: DatasetFolder) -> Facts:
    """What decided the pairs, as their table has it: without the name of the set."""
    metadata = folder.schema().metadata or {}
    made_by: Facts = read_json(metadata.get(CONFIG, b"{}"), f"{folder.path}: its origin", dict)
    return {section: values for section, values in made_by.items() if section != "set"}


def _licence(models: Sequence[str], config: DatasetConfig) -> Facts:
    """As asked for; else what the models' own cards say, as far as they are on this machine."""
    from invdpo.data_cards import licence_of, read_licence

    if config.license:
        return {"license": config.license}
    return licence_of(models, {model: read_licence(_readme(model)) for model in models})


def _readme(model: str) -> Path | None:
    """The card of a model of the Hub, from its cache; nothing is downloaded."""
    if model.count("/") != 1:
        return None
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(model, CARD)
    return Path(cached) if isinstance(cached, str) else None


def dataset_facts(folder: DatasetFolder) -> Facts:
    """What the files of a dataset say of it. Raises `DataError` when there are none."""
    schema = folder.schema()
    metadata = schema.metadata or {}
    notes = read_json(metadata.get(NOTES, b"{}"), f"{folder.path}: its notes", dict)
    models = _models(folder)
    sources = [("images", *model) for model in models]
    sources += [("scene graphs", *entry) for entry in notes.get("annotators", {}).items()]
    sources += [("scores", *entry) for entry in notes.get("scorers", {}).items()]
    sources += [("prompts", name, None) for name in notes.get("prompts", ())]
    return file_facts(folder) | {
        "images": _count_images(folder),
        "shared": _count_shared(folder),
        "features": hub_columns(schema),
        "scorers": list(notes.get("scorers", {})),
        "models": sorted({name for name, _ in models}),
        "sources": sources,
        "cut": {name: number for name, number in notes.get("cut", {}).items() if number},
        "origin": notes.get("origin"),
        "config_hash": metadata.get(CONFIG_HASH, b"").decode(),
        "version": metadata.get(VERSION, b"").decode(),
    }


def file_facts(folder: DatasetFolder) -> Facts:
    """Sizes and hash of the files, of any layout in `data/`."""
    sizes = {split: folder.split_sizes(split)._asdict() for split in SPLITS}
    counts = {f"num_{split}": size["num_examples"] for split, size in sizes.items()}
    return {**counts, "splits": sizes, "content_hash": folder.content_hash()}


def origin_notes(ws: Workspace, scorers: Sequence[str], annotator: str | None) -> Facts:
    """Name -> revision of scorers and annotator, source of the prompts, how many were truncated."""
    names = [annotator] if annotator else []
    sources = pc.unique(ws.read_table(ws.prompts_path, ["source"])["source"]).drop_null()
    tables = {"images": ws.candidates_dir, **{name: ws.scores_dir(name) for name in scorers}}
    cut = {name: count_cut(folder) for name, folder in tables.items()}
    return {
        **({"cut": cut} if any(cut.values()) else {}),
        "scorers": {name: _revision(ws, ws.scores_dir(name)) for name in scorers},
        "annotators": {name: _revision(ws, ws.annotations_dir(name)) for name in names},
        "prompts": sorted(sources.to_pylist()),
    }


def _revision(ws: Workspace, folder: Path) -> str | None:
    """Of a table whose parts are all of one revision."""
    column = read_part(ws.iter_parts(folder)[0], ["revision"])["revision"]
    return next((value for value in pc.unique(column).to_pylist() if value), None)


def _count_shared(folder: DatasetFolder) -> int:
    """Prompts of validation whose text or composition is in train, too."""
    train, validation = (_prompt_keys(folder, split) for split in SPLITS)
    known = {key for keys in train for key in keys}
    return len({keys[0] for keys in validation if not known.isdisjoint(keys)})


def _prompt_keys(folder: DatasetFolder, split: str) -> set[tuple[str, str]]:
    """Of each prompt a key of its text, and one of the composition that its graph asks for."""
    keys = set()
    for path in folder.shards(split):
        with open_shard(path) as file:
            rows = file.read(["prompt", "graph"]).group_by(["prompt", "graph"]).aggregate([])
        for row in rows.to_pylist():
            graph = SceneGraph.from_json(row["graph"]) if row["graph"] else None
            keys.add((prompt_key(row["prompt"] or ""), split_group(row["prompt"], graph)))
    return keys


def _count_images(folder: DatasetFolder) -> int:
    """Different images, by their candidates' ids."""
    table = folder.read_columns([f"{side}_id" for side in SIDES])
    chunks = [chunk for column in table.columns for chunk in column.chunks]
    return len(pc.unique(pa.chunked_array(chunks, pa.string())).drop_null())


def _models(folder: DatasetFolder) -> list[Model]:
    """Every model that generated an image of the dataset, sorted by name."""
    models: set[Model] = set()
    for side in ("", "rejected_"):
        columns = [f"{side}model", f"{side}revision"]
        rows = folder.read_columns(columns).group_by(columns).aggregate([]).to_pylist()
        models |= {(row[columns[0]], row[columns[1]]) for row in rows if row[columns[0]]}
    return sorted(models, key=lambda model: (model[0], model[1] or ""))


def deciding_options(config: Config) -> Facts:
    """Section -> option -> value, of all that decided a dataset; only the last part of paths."""
    options: Facts = {}
    for name in SECTIONS:
        values = getattr(config, name).fingerprint()
        used = {k: v for k, v in values.items() if v is not None and not _is_unused(k, config)}
        if used:
            options[name] = {key: redact(value) for key, value in used.items()}
    return options


def _is_unused(option: str, config: Config) -> bool:
    """Whether an option is of a plug-in that was not used: its name begins with the plug-in's."""
    owner = option.split("_")[0]
    if owner == "hub":
        return config.prompts.source != owner
    return owner in SCORERS.names() and owner not in config.score.scorers and "_" in option
