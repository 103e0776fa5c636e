"""The annotators and scorers of a configuration, looked at before any of them is at work.

Those of the embedded world read coloured shapes and nothing else: on the images of another model
all their scores are wrong, so there somebody must have chosen them.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection
from pathlib import Path

from invdpo.curate.annotators import ANNOTATORS
from invdpo.curate.scorers import SCORERS
from invdpo.curate.scorers.base import OBSERVED
from invdpo.schemas import ConfigError
from invdpo.schemas.config import Config
from invdpo.schemas.config.presets import preset_names

EMBEDDED = "embedded"
"""Name of the model and of the CLIP that know nothing but shapes."""
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


def check_judges(config: Config, steps: Collection[str]) -> None:
    """Ask all that `annotate` and `score` need for their revisions, so that nothing fails later.

    Raises `PluginError` for an unknown name or a missing extra, and what a judge raises that lacks
    its weights or its server.
    """
    if "annotate" in steps:
        for name in config.annotate.annotators:
            _ = ANNOTATORS[name](config.annotate).revision
    if "score" in steps:
        for name in config.score.scorers:
            _ = SCORERS[name](config.score).revision


def reads_graphs(config: Config) -> bool:
    """Whether a scorer compares the graphs that an annotator read."""
    return any(OBSERVED in SCORERS[name](config.score).needs for name in config.score.scorers)


def unchosen(config: Config, steps: Collection[str], made: Collection[str] = ()) -> list[str]:
    """Flags that would choose the embedded world's judges where nobody chose any.

    Args:
        config: Its `model_fields_set` tell what somebody chose.
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


def require_choice(models: Collection[str], flags: Collection[str], *commands: str) -> None:
    """Raise `ConfigError` with the right `commands` where `flags` were left to their defaults.

    `models` drew the images, by the names that tables record.
    """
    others = ", ".join(sorted({*models} - {EMBEDDED}))
    if not others or not flags:
        return
    presets, lines = ", ".join(preset_names()), "\n".join(f"  {command}" for command in commands)
    raise ConfigError(
        f"The images are those of {others}, and the default judges read only the coloured shapes "
        f"of the embedded model. Choose others:\n{lines}\n"
        f"A preset chooses them as well (--preset, one of {presets}). "
        f"To use the default ones all the same, name them: {' '.join(flags)}"
    )


def step_commands(work: Path) -> tuple[str, str]:
    """The two commands that judge natural images."""
    where = shlex.quote(str(work))
    return (
        f"invdpo curate annotate {where} {ANNOTATE_FLAGS}",
        f"invdpo curate score {where} {SCORE_FLAGS}",
    )


def run_commands(work: Path, models: Collection[str]) -> tuple[str, str]:
    """The same for a run of all steps: with these judges, or with a preset."""
    run = f"invdpo curate run {shlex.quote(str(work))} --model {shlex.quote(','.join(models))}"
    return f"{run} {ANNOTATE_FLAGS} {SCORE_FLAGS}", f"{run} --preset sdxl"


def eval_commands(tuned: str) -> tuple[str, str]:
    """The same for the evaluation of a tuned model."""
    command = f"invdpo eval {shlex.quote(tuned)}"
    return f"{command} {SCORE_FLAGS}", f"{command} --preset sdxl"
