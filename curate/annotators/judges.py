"""The annotators and scorers of a configuration, looked at before any of them is at work.

Those of the embedded world read coloured shapes and nothing else: on the images of another model
all their scores are wrong, so there somebody must have chosen them.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invdpo.curate.annotators import ANNOTATORS
from invdpo.curate.checkpoints.pipelines import check_pipeline
from invdpo.curate.scorers import SCORERS
from invdpo.curate.scorers.base import OBSERVED
from invdpo.curate.storage.parts import exists
from invdpo.schemas import ConfigError, OfflineError
from invdpo.schemas.config import Config
from invdpo.schemas.config.make_plugin import make_plugin
from invdpo.schemas.config.presets import fitting_preset
from invdpo.schemas.config.section import EMBEDDED, EMBEDDED_MODELS
from invdpo.schemas.io.model_folder import find_folder, read_index

if TYPE_CHECKING:
    from invdpo.curate.runner import RunOptions
    from invdpo.curate.workspace import Workspace

SHAPES = "shapes"
"""Name of the annotator that knows nothing but shapes."""
CLIP = "clip"
"""Name of the scorer that takes any CLIP."""
ANNOTATE_FLAGS = "--annotators detector"
SCORE_FLAGS = (
    "--scorers composition,clip --annotator detector "
    "--clip-model ViT-L-14 --clip-pretrained datacomp_xl_s13b_b90k"
)
"""Judges of natural images."""


def check_judges(config: Config, steps: Collection[str], *, offline: bool = False) -> None:
    """Ask all that `annotate` and `score` need for their revisions, so that nothing fails later.

    Raises `PluginError` for an unknown name or a missing extra, and what a judge raises that lacks
    its weights or its server; with `offline` not for want of the Hub.
    """
    models: list[Any] = []
    if "annotate" in steps:
        models += [make_plugin(ANNOTATORS, n, config.annotate) for n in config.annotate.annotators]
    if "score" in steps:
        models += [make_plugin(SCORERS, name, config.score) for name in config.score.scorers]
    for model in models:
        with suppress(*([OfflineError] if offline else [])):
            _ = model.revision


def reads_graphs(config: Config) -> bool:
    """Whether a scorer compares the graphs that an annotator read."""
    return any(
        OBSERVED in make_plugin(SCORERS, name, config.score).needs for name in config.score.scorers
    )


def unchosen(config: Config, steps: Collection[str], made: Collection[str] = ()) -> list[str]:
    """Flags that would choose the embedded world's judges where nobody chose any.

    Args:
        config: Its `model_fields_set` hold what somebody chose.
        steps: Names of steps, of which `annotate` and `score` are looked at.
        made: Annotators and scorers of which there are tables, so that they were chosen before.
    """
    annotate, score, flags = config.annotate, config.score, []
    by_shapes = SHAPES in annotate.annotators
    chosen = SHAPES in made or (by_shapes and "annotators" in annotate.model_fields_set)
    chosen |= score.annotator == SHAPES and "annotator" in score.model_fields_set
    if "annotate" in steps and by_shapes and not chosen:
        flags.append(f"--annotators {','.join(annotate.annotators)}")
    if "score" not in steps:
        return flags
    if score.annotator == SHAPES and reads_graphs(config) and not chosen:
        flags.append(f"--annotator {SHAPES}")
    if CLIP in score.scorers and score.clip_model == EMBEDDED:
        chosen = CLIP in made or "clip_model" in score.model_fields_set
        flags += [] if chosen else [f"--clip-model {EMBEDDED}"]
    return flags


def made_before(ws: Workspace, options: RunOptions, names: Collection[str]) -> set[str]:
    """The embedded world's judges of which there are tables that these steps will not replace."""
    tables = {
        SHAPES: ("annotate", ws.annotations_dir(SHAPES)),
        CLIP: ("score", ws.scores_dir(CLIP)),
    }
    return {
        judge
        for judge, (step, folder) in tables.items()
        if exists(folder) and not (options.overwrite and step in names)
    }


def require_choice(models: Collection[str], flags: Collection[str], *commands: str) -> None:
    """Raise `ConfigError` with the right `commands` where `flags` were left to their defaults.

    `models` generated the images, by the names that tables record.
    """
    others = ", ".join(sorted({*models} - {*EMBEDDED_MODELS}))
    if others and flags:
        lines = "\n".join(f"  {command}" for command in commands)
        raise ConfigError(
            f"The images are those of {others}, and the default annotator and scorers understand "
            f"only the coloured shapes of the embedded model. Choose others:\n{lines}\nTo use "
            f"the defaults anyway, give them as options: {' '.join(flags)}"
        )


def require_chosen(
    ws: Workspace,
    config: Config,
    options: RunOptions,
    steps: Collection[str],
    models: Sequence[str],
    command: str,
) -> None:
    """The same for a `command` that runs these `steps` in `ws`.

    Raises `ConfigError` also where a scorer compares graphs that are not there and nobody reads.
    """
    if left_open := unchosen(config, steps, made_before(ws, options, steps)):
        chosen = "source" in config.prompts.model_fields_set or exists(ws.prompts_path)
        commands = whole_commands(command, models, prompts_chosen=chosen)
        if left_open == [f"--annotators {SHAPES}"] and not reads_graphs(config):
            commands = (f"{command} --annotators none", *commands)
        require_choice(models, left_open, *commands)
    name, readers = config.score.annotator, config.annotate.annotators
    there = name in readers or exists(ws.annotations_dir(name))
    if "score" in steps and not there and reads_graphs(config):
        raise ConfigError(
            f"score.annotator: found {name}, but the annotators are: "
            f"{', '.join(readers) or 'none'}. Name one of them by --annotator, or choose scorers "
            "that compare no graphs."
        )


def step_commands(work: Path) -> tuple[str, str]:
    """The two commands that judge natural images."""
    where = shlex.quote(str(work))
    return (
        f"invdpo curate annotate {where} {ANNOTATE_FLAGS}",
        f"invdpo curate score {where} {SCORE_FLAGS}",
    )


def whole_commands(command: str, models: Sequence[str], *, prompts_chosen: bool) -> tuple[str, ...]:
    """A command of all steps with these judges, and with those of the preset for its models if any.

    The default prompts, of coloured shapes, are replaced, too, unless they were chosen. Raises
    `ModelError` for what is no model.
    """
    model = next((name for name in models if name not in EMBEDDED_MODELS), None)
    if model is None:
        return ()
    folder, pipeline, added = find_folder(model), "", SCORE_FLAGS
    if folder:
        check_pipeline(folder)
        pipeline = str(read_index(folder).get("_class_name", ""))
    if command.startswith(("invdpo curate run", "invdpo improve")):
        added = f"{ANNOTATE_FLAGS} {added}"
    if not prompts_chosen:
        added = f"--source scenes {added}"
    preset = fitting_preset(model, pipeline)
    with_preset = (f"{command} --preset {preset}",) if preset else ()
    return (f"{command} {added}", *with_preset)
