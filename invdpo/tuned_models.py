"""The models of an evaluation, from the folders that trainings left: base, tuned, checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from invdpo.schemas import ConfigError, DataError, ModelError
from invdpo.schemas.config import Config
from invdpo.trained import BaseModel, Training, find_base, prompts_seen, read_training

if TYPE_CHECKING:
    from invdpo.curate.evaluation.models import EvaluatedModel

Note = Callable[[str], None]
"""Called with what the user should know."""


def find_models(
    config: Config, own: Config, paths: Sequence[Path], note: Note
) -> tuple[EvaluatedModel, list[EvaluatedModel]]:
    """The base and the tuned models; `own` is what of `config` the call itself says.

    Raises `ConfigError` for none, and for several bases.
    """
    from invdpo.curate.evaluation.models import EvaluatedModel
    from invdpo.curate.evaluation.preparation import TrainingPrompts

    if not paths:
        raise ConfigError("No tuned model was given. Give one: invdpo eval TUNED")
    pipelines = [_is_pipeline(path) for path in paths]
    trainings = [read_training(path) for path in paths]
    bases: list[BaseModel] = []
    for path, training, whole in zip(paths, trainings, pipelines, strict=True):
        known = trainings.index(training)  # checkpoints share the report of their training
        named = _named_base(config, own, training)
        made_before = known < len(bases)
        base = bases[known] if made_before else find_base(path, training, named, whole=whole)
        bases.append(base)
    if other := next((n for n, base in enumerate(bases) if base != bases[0]), None):
        raise ConfigError(
            f"{paths[0]}: tuned from {bases[0]}, but {paths[other]} from {bases[other]}; models "
            "can be compared only if they share a base. Evaluate them separately."
        )
    seen = [TrainingPrompts(t.dataset, prompts_seen(t)) if t else None for t in trainings]
    if not all(one and one.keys for one in seen):
        note(
            "The prompts of the training are unknown, so the evaluation can't check whether any "
            "of these were trained on."
        )
    plain = EvaluatedModel(bases[0].model, bases[0].revision)
    models = [
        replace(
            EvaluatedModel(str(path)) if whole else replace(plain, lora=str(path)), trained_on=s
        )
        for path, whole, s in zip(paths, pipelines, seen, strict=True)
    ]
    return replace(plain, guidance_scale=config.eval.base_guidance_scale), models


def _named_base(config: Config, own: Config, training: Training | None) -> BaseModel | None:
    """The base model that the call names; a preset's, where no report names it."""
    given = own.generate if training else config.generate
    if given.models:
        raise ConfigError(
            "generate.model: found several; give one model, the base to compare with."
        )
    return BaseModel(given.model, given.revision) if "model" in given.model_fields_set else None


def _is_pipeline(tuned: Path) -> bool:
    """Whether it is a whole model, and no LoRA. Raises an error for what is neither."""
    from invdpo.curate.checkpoints.pipelines import check_pipeline, find_lora

    what = "Give the --output folder of `invdpo train`."
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


def with_checkpoints(given: Sequence[Path]) -> list[Path]:
    """Each model and, before it, the weights that its training kept on the way."""
    paths = []
    for path in given:
        kept = sorted((path / "checkpoints").glob("step-*"))
        if not kept:
            text = f"{path}: no checkpoints/step-… in it; `invdpo train --save-every` writes them"
            raise DataError(f"{text}. Leave out --checkpoints.")
        paths += [*kept, path]
    return paths


def with_text_length(config: Config, tuned: Sequence[Path]) -> Config:
    """With texts as long as in the training, unless the configuration says how long.

    Raises `ConfigError` for several trainings with texts of other lengths.
    """
    options = config.generate.pipeline_options
    lengths = {t.max_sequence_length: path for path in tuned if (t := read_training(path))}
    length = next(iter(lengths), None)
    if "max_sequence_length" in options:
        return config
    if len(lengths) > 1:
        shown = ", ".join(f"{path} with {n or 'the default'}" for n, path in lengths.items())
        raise ConfigError(
            f"max_sequence_length: these were trained with texts of other lengths ({shown}). "
            "Evaluate them separately, or all with one: --pipeline-option max_sequence_length=N"
        )
    if not length:
        return config
    options = {**options, "max_sequence_length": length}
    generate = config.generate.model_copy(update={"pipeline_options": options})
    return config.model_copy(update={"generate": generate})
