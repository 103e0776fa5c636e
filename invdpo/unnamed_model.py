"""A training that names no model: the default is the embedded one, which may not be meant."""

from __future__ import annotations

import shlex
from pathlib import Path

from invdpo.schemas import ConfigError
from invdpo.schemas.config import Config
from invdpo.schemas.config.section import EMBEDDED
from invdpo.schemas.io.hub import is_hub_id


def require_model(dataset: str, curated: Config, output: Path) -> str | None:
    """What to say of a training that names no model, and so would tune the embedded one.

    Raises `ConfigError` where the images are known to be those of another model.
    """
    if "model" in curated.train.model_fields_set:
        return None
    models = _generators(Path(dataset), curated)
    others = sorted(models - {EMBEDDED})
    if not others:
        known = models or not (Path(dataset).exists() or is_hub_id(dataset))
        return None if known else "No --model was given: the embedded model is tuned."
    command = shlex.join(["invdpo", "train", dataset, "--output", str(output), "--model"])
    raise ConfigError(
        f"train.model: not given, and the images of {dataset} are those of {', '.join(others)}; "
        f"the default is the embedded model. Name the model:\n  {command} "
        f"{shlex.quote(others[0])}\n  {command} {EMBEDDED}"
    )


def _generators(dataset: Path, curated: Config) -> set[str]:
    """Which models generated the images, as far as workspace or dataset record it."""
    from invdpo.curate.dataset.folder import DatasetFolder

    generate, folder = curated.generate, DatasetFolder(dataset)
    if {"model", "models"} & generate.model_fields_set:
        return {name.split("+")[0] for name in generate.models or (generate.model,)}
    if not folder.shards():
        return set()
    columns = {"chosen_model", "rejected_model"} & set(folder.schema().names)
    table = folder.read_columns(sorted(columns))
    return {name for column in columns for name in table[column].unique().to_pylist() if name}
