"""A tuned model against its base, from the folder that a training left: figures, grid and file."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invdpo.configuration import Given, layers, read_config
from invdpo.schemas import ConfigError, DataError, ModelError
from invdpo.schemas.config import Config
from invdpo.trained import BaseModel, Training, find_base, prompts_seen, read_training

if TYPE_CHECKING:
    from invdpo.curate.evaluation.compare import Evaluation

log = logging.getLogger("invdpo.eval")

GRID = 12
"""Prompts in the grid of images."""


@dataclass(frozen=True)
class Comparison:
    """An evaluation, and where it was written."""

    evaluation: Evaluation
    folder: Path
    base: BaseModel

    @property
    def grid(self) -> Path:
        """The images, base beside tuned."""
        return self.folder / "grid.png"

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return {
            "folder": str(self.folder),
            "grid": str(self.grid),
            "base": str(self.base),
            "figures": self.evaluation.rows(),
            "notes": list(self.evaluation.notes),
        }


def evaluate(
    tuned: str | Path,
    output: str | Path | None = None,
    config: Given = None,
    *,
    preset: str | None = None,
    progress: bool = True,
) -> Evaluation:
    """Compare a tuned model with its base on held-out prompts; what `invdpo eval` does.

    Images and figures go into `output`, or `evaluation` in the folder of the weights. Raises what
    the steps raise, and `DataError` when nothing could be judged.
    """
    files, given = layers(config)
    whole, own = read_config((), preset, files, given), read_config((), None, files, given)
    command = f"invdpo eval {shlex.quote(str(tuned))}"
    folder = Path(output) if output else None
    found = compare_with_base(
        Path(tuned), folder, whole, own, command, note=log.warning, progress=progress
    )
    return found.evaluation


def compare_with_base(
    tuned: Path,
    output: Path | None,
    config: Config,
    own: Config,
    command: str,
    *,
    note: Callable[[str], None],
    progress: bool = True,
) -> Comparison:
    """Evaluate both models and write images and figures.

    Args:
        tuned: What a training wrote: a LoRA (folder or file) or the folder of a model.
        output: Folder for what is written; `evaluation` beside the weights when None.
        config: All that decides the evaluation.
        own: What of it this call itself says, without a preset.
        command: What was typed, for a refusal.
        note: Told what the user should know.
        progress: Whether to show bars when stderr is a terminal.
    """
    from invdpo.curate.evaluation.compare import EvaluatedModel, evaluate_models, lock_evaluation
    from invdpo.curate.evaluation.grid import write_grid
    from invdpo.curate.evaluation.preparation import TrainingPrompts
    from invdpo.curate.runner import RunOptions

    is_pipeline, training = _is_pipeline(tuned), read_training(tuned)
    base_model = find_base(tuned, training, _named_base(config, own, training))
    base = EvaluatedModel(base_model.model, base_model.revision)
    tuned_model = EvaluatedModel(str(tuned)) if is_pipeline else replace(base, lora=str(tuned))
    folder = output or (tuned if tuned.is_dir() else tuned.parent) / "evaluation"
    seen = TrainingPrompts(training.dataset, prompts_seen(training)) if training else None
    if not (seen and seen.keys):
        note("The prompts of the training aren't known, so none can be told to be of it.")
    options = RunOptions(progress=progress)
    with lock_evaluation(folder):
        evaluation = evaluate_models(folder, config, base, tuned_model, options, seen, command)
        found = Comparison(evaluation, folder, base_model)
        write_grid(found.grid, evaluation.results[:GRID])
        _write_figures(folder / "evaluation.json", found.to_dict())
    return found


def _named_base(config: Config, own: Config, training: Training | None) -> BaseModel | None:
    """The base model that the call names; a preset's, where no report tells it."""
    given = own.generate if training else config.generate
    if given.models:
        raise ConfigError("generate.model: found several; the base to compare with is one model.")
    return BaseModel(given.model, given.revision) if "model" in given.model_fields_set else None


def _is_pipeline(tuned: Path) -> bool:
    """Whether it is a whole model, and no LoRA. Raises an error for what is neither."""
    from invdpo.curate.checkpoints.pipelines import check_pipeline, find_lora

    what = "Give what `invdpo train` wrote to its --output."
    if not tuned.exists():
        raise DataError(f"{tuned}: no such folder. {what}")
    is_pipeline = (tuned / "model_index.json").exists()
    try:
        if is_pipeline:
            check_pipeline(tuned)
        else:
            find_lora(str(tuned))
    except ModelError as error:
        raise ModelError(f"{error} {what}") from None
    return is_pipeline


def _write_figures(path: Path, data: dict[str, Any]) -> None:
    from invdpo.curate.storage.atomic import replacing

    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1), encoding="utf-8")
