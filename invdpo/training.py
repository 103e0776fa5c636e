"""A training with everything around it: the choice of the model, the weights, their card."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from invdpo.configuration import Given, layers, read_config
from invdpo.schemas.config import Config
from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.io.processes import is_main_process

if TYPE_CHECKING:
    from invdpo.train import TrainResult
    from invdpo.train.monitoring.trackers import OnStep

log = logging.getLogger("invdpo.train")


def train(
    dataset: str | Path,
    output: str | Path,
    config: Given = None,
    *,
    preset: str | None = None,
    cache_dir: str | Path | None = None,
    restart: bool = False,
    progress: bool = True,
    on_step: OnStep | None = None,
) -> TrainResult:
    """Tune a model on pairs; what `invdpo train` does.

    `on_step` is called with each step's metrics by name, including `step`. `config` overrides
    the workspace of the dataset, or the preset that replaces it. Raises what
    `invdpo.train.run.train` raises, and `ConfigError` where no model is named and the pairs are not
    the embedded one's.
    """
    from invdpo.curate.storage.pair_sets import workspace_of
    from invdpo.options import flags
    from invdpo.unnamed_model import require_model

    files, given = layers(config)
    used = {(flag.section, flag.field) for flag in flags(["train"])}
    record = workspace_of(Path(dataset).parent)[0] / "invdpo.yaml"
    curated = read_config([record], preset, files, given, used)
    if note := require_model(str(dataset), curated, Path(output)):
        log.warning(note)
    return train_with_card(
        dataset,
        Path(output),
        training_options(curated),
        cache_dir=Path(cache_dir) if cache_dir else None,
        restart=restart,
        progress=progress,
        on_step=on_step,
    )


def train_with_card(
    dataset: str | Path,
    output: Path,
    config: TrainConfig,
    *,
    repo_id: str | None = None,
    cache_dir: Path | None = None,
    restart: bool = False,
    progress: bool = True,
    on_step: OnStep | None = None,
) -> TrainResult:
    """Tune the model of `config`, and leave its card beside the weights; as `train.run.train`.

    `repo_id` is the name of the model on the Hub, if it will be pushed.
    """
    from invdpo.curate.scene_graphs.focus import focus_boxes
    from invdpo.model_card import write_model_card
    from invdpo.train.run import lock_output
    from invdpo.train.run import train as tune

    with lock_output(output):
        result = tune(
            dataset,
            output,
            with_model_path(config),
            cache_dir=cache_dir,
            restart=restart,
            progress=progress,
            on_step=on_step,
            focus_boxes=focus_boxes,
        )
        if is_main_process():
            write_model_card(dataset, config, result, repo_id)
    return result


def training_options(curated: Config) -> TrainConfig:
    """With texts as long as those that the images of a workspace were generated from.

    `curated` is its configuration. It counts for the model that generated the images alone.
    """
    config, drawn_by = curated.train, curated.generate
    length = drawn_by.max_sequence_length
    if config.max_sequence_length or not length or config.model != drawn_by.model:
        return config
    log.info("max_sequence_length is %d, as for the images of the workspace.", length)
    return config.model_copy(update={"max_sequence_length": length})


def with_model_path(config: TrainConfig) -> TrainConfig:
    """The configuration with the folders of models here in full, so that `eval` finds them again.

    These are the base model and the weights that the training begins with.
    """
    from invdpo.curate.shapes.bundle import bundled

    named = {"model": bundled(config.model) or config.model, "start_from": config.start_from}
    folders = {name: Path(place) for name, place in named.items() if place}
    here = {name: str(f.resolve()) for name, f in folders.items() if f.is_dir()}
    return config.model_copy(update=here)
