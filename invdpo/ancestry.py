"""Where a tuned model comes from: the base model, its revision and its licence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from invdpo.data_cards.licences import told_licence
from invdpo.discretion import without_folders
from invdpo.schemas.config import TrainConfig
from invdpo.schemas.hub import hub_failures

EMBEDDED = "embedded"
NAME = re.compile(r"(?!.*(--|\.\.))\b[\w.-]+\b/\b[\w.-]{1,96}\b", re.ASCII)
"""`OWNER/NAME` as the Hub allows it."""


def hub_id(name: str) -> str | None:
    """The name if it is one of the Hub's and no path here; none otherwise."""
    return name if NAME.fullmatch(name) and not Path(name).exists() else None


def base_facts(config: TrainConfig) -> dict[str, Any]:
    """What a card says of the base model: name, id, revision, and the licence if it tells one."""
    found = hub_id(config.model)
    if found is None:
        folder = _embedded() if config.model == EMBEDDED else Path(config.model)
        shown = config.model if config.model == EMBEDDED else without_folders(config.model)
        return {"base_model": shown, **told_licence(folder / "README.md")}
    facts = {"base_model": found, "base_model_id": found}
    if commit := _commit(found, config.revision):
        facts["revision"] = commit
    told = told_licence(_readme(found, config.revision))
    link = str(told.get("license_link", "https://"))
    if not link.startswith("https://"):
        told["license_link"] = f"https://huggingface.co/{found}/blob/main/{link.lstrip('/')}"
    return facts | told


def _embedded() -> Path:
    from invdpo.curate.shapes import bundle

    return bundle.model_path()


def _commit(model: str, revision: str | None) -> str | None:
    """The commit of the copy that was trained on, or the revision that was asked for."""
    from huggingface_hub import try_to_load_from_cache

    index = try_to_load_from_cache(model, "model_index.json", revision=revision)
    return Path(index).parent.name if isinstance(index, str) else revision


def _readme(model: str, revision: str | None) -> Path | None:
    """The base model's README from the Hub or its cache; none when neither has it."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(model, "README.md", revision=revision, etag_timeout=5))
    except hub_failures(ValueError):
        return None
