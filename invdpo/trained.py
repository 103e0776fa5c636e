"""What a training says of itself in `training.json`: its base model, and the prompts it saw."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invdpo.rounds.record import belongs_to_round
from invdpo.schemas import ConfigError, DataError, ModelError, PluginError
from invdpo.schemas.config import Config
from invdpo.schemas.config.presets import fitting_preset
from invdpo.schemas.config.section import EMBEDDED_MODELS
from invdpo.schemas.config.trust import is_confirmed
from invdpo.schemas.io.documents import read_file, read_json

REPORT = "training.json"
ROUND = re.compile(r"(^|/)round-\d+/tuned$")
"""The folder of a model in those of rounds."""
SAMPLING = (
    "num_inference_steps",
    "guidance_scale",
    "pipeline_options",
    "resolution",
    "width",
    "height",
)
"""Options of generation that images depend on, and that an evaluation takes."""


@dataclass(frozen=True)
class BaseModel:
    """A model by name, as `--model` takes it."""

    model: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.model}@{self.revision}" if self.revision else self.model


@dataclass(frozen=True)
class Training:
    """The report beside tuned weights."""

    base: BaseModel
    fingerprint: str
    """Of the base model's files."""
    pipeline: str
    """The base model's class; empty in reports of earlier versions."""
    dataset: str
    prompts: Mapping[str, frozenset[str]]
    """Split -> the `prompt_key` of its prompts; empty in reports of earlier versions."""
    config: Mapping[str, Any]
    """The options of the training, with what followed from the model."""
    folder: Path
    """Where the report is."""
    start_from: str | None = None
    """The weights that it began with, where those are not the base model's."""
    max_sequence_length: int | None = None
    """Text tokens that the model took, if the training had that option."""


def read_training(tuned: Path) -> Training | None:
    """The report beside a LoRA, a model, or one of its checkpoints; None without any.

    Raises `DataError` for a file that is no such report.
    """
    folder = tuned if tuned.is_dir() else tuned.parent
    folders = [folder, *([folder.parents[1]] if folder.parent.name == "checkpoints" else [])]
    path = next((f / REPORT for f in folders if (f / REPORT).is_file()), None)
    if path is None:
        return None
    try:
        return _training(read_json(read_file(path), path, dict), path.parent)
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        text = f"{path}: not a report of a training, so the base model is unknown."
        raise DataError(f"{text} Train again, or remove the file and give --model.") from None


def _training(report: Any, folder: Path) -> Training:
    config, data = report["config"], report.get("data") or {}
    model, revision, start_from = map(_name, map(config.get, ("model", "revision", "start_from")))
    if not model:
        raise ValueError("no base model")
    prompts = {str(split): frozenset(keys) for split, keys in (data.get("prompts") or {}).items()}
    dataset = str(data.get("dataset", ""))
    return Training(
        BaseModel(model, revision),
        str(report["model"]),
        str(report.get("pipeline", "")),
        dataset,
        prompts,
        config,
        folder,
        start_from,
        None if (length := config.get("max_sequence_length")) is None else int(length),
    )


def _name(value: Any) -> str | None:
    """What may be a model. Raises `TypeError` or `OSError` for what no file can be called."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"no name: {value!r}")
    Path(value or "").exists()
    return value


def find_base(
    tuned: Path, training: Training | None, named: BaseModel | None, *, whole: bool
) -> BaseModel:
    """The model to compare `tuned` with; `named` is what the user says that it is.

    It is the model that it was tuned from. A `whole` model of rounds is compared with the one that
    the first round began with, or with any that it came from if that is named; a LoRA fits its own
    base alone. Raises `ConfigError` where nobody says, and where the named one is another than that
    of the report; `ModelError` where it is not to be had.
    """
    command = f"invdpo eval {shlex.quote(str(tuned))} --model"
    if training is None:
        if named is None:
            text = f"{tuned}: no {REPORT} beside it, so it is unknown from which model it was"
            raise ConfigError(f"{text} tuned. Name that model: {command} MODEL")
        return named
    origins = _origins(training) if whole else [training]
    training = next(filter(_is_first, origins), origins[-1])
    own = own_base(training)
    if named is None:
        way_out = f"{command} FOLDER, with the folder where it is now"
        if own.model in EMBEDDED_MODELS or _fingerprint(own, way_out) == training.fingerprint:
            return own
        raise ConfigError(
            f"{tuned}: tuned from {own}, whose files have changed since the training. Give the "
            f"model as it was then: {command} FOLDER"
        )
    fingerprint = _fingerprint(named, f"{command} {own}")
    meant = next((one for one in origins if one.fingerprint == fingerprint), None)
    if meant is None:
        raise ConfigError(
            f"--model: found {named}, but {tuned} was tuned from {own}, which has other weights. "
            f"Compare with that model: {command} {shlex.quote(str(own))}"
        )
    own = own_base(meant)
    return own if own.model in EMBEDDED_MODELS else named


def prompts_seen(training: Training) -> dict[str, frozenset[str]]:
    """Split -> prompts of a training and of those that it started from, such as earlier rounds.

    Each is read once: a report may name its own folder, whose weights were replaced.
    """
    prompts: dict[str, frozenset[str]] = {}
    waiting, known = [training], set[Path]()
    while waiting:
        one = waiting.pop()
        for split, keys in one.prompts.items():
            prompts[split] = prompts.get(split, frozenset()) | keys
        named = (_find_model(one, name) for name in (one.base.model, one.start_from) if name)
        new = {folder for folder in named if folder and folder not in known}
        waiting += filter(None, map(read_training, new))
        known |= new
    return prompts


def _origins(training: Training) -> list[Training]:
    """A model's training, that of its base model, and so on.

    Raises `DataError` where the chain leads back to itself.
    """
    origins, known = [training], set[Path]()
    while True:
        base = own_base(origins[-1]).model
        folder = None if base in EMBEDDED_MODELS else _find_model(origins[-1], base)
        earlier = folder and read_training(folder)
        if not folder or not earlier:
            return origins
        if folder in known:
            text = "its chain of base models leads back to itself, so the base model is unknown"
            raise DataError(f"{folder / REPORT}: {text}. Train again, with another --output.")
        known.add(folder)
        origins.append(earlier)


def _is_first(training: Training) -> bool:
    """Whether a training began with no model of rounds, as the first round does."""
    folder = _find_model(training, training.base.model)
    return folder is None or not belongs_to_round(folder)


def _find_model(training: Training, name: str) -> Path | None:
    """The folder that a report names; of rounds that were moved or copied, where it is now."""
    if (folder := Path(name)).is_dir():
        return folder.resolve()
    if belongs_to_round(training.folder) and ROUND.search(folder.as_posix()):
        moved = training.folder.absolute().parent.parent.joinpath(*folder.parts[-2:])
        return moved if moved.is_dir() else None
    return None


def own_base(training: Training) -> BaseModel:
    """The base model of the report; an embedded one by its name, wherever it was."""
    from invdpo.curate.shapes.bundle import bundled

    there = [name for name in EMBEDDED_MODELS if (folder := bundled(name)) and folder.is_dir()]
    embedded = (BaseModel(name) for name in there)
    same = (base for base in embedded if _fingerprint(base) == training.fingerprint)
    base, folder = training.base, _find_model(training, training.base.model)
    moved = folder is not None and not Path(base.model).is_dir()
    return next(same, BaseModel(str(folder)) if moved else base)


def _fingerprint(base: BaseModel, way_out: str = "") -> str:
    """Of the files that the training depends on, as `training.json` holds it."""
    import torch

    from invdpo.curate.shapes import bundle
    from invdpo.schemas.config.train import TrainConfig
    from invdpo.train.models import load_adapter

    model = str(bundle.bundled(base.model) or base.model)
    config = TrainConfig(model=model, revision=base.revision)
    try:
        return load_adapter(config, torch.device("cpu")).fingerprint
    except ModelError as error:
        raise ModelError(f"{error}\nThe base model is needed: {way_out}") from None


def evaluation_command(
    tuned: Path, curated: Config, record: Path, base: BaseModel | None = None
) -> str:
    """The command that compares a model just tuned with its base, sampled as its images were.

    Args:
        tuned: What the training wrote.
        curated: The configuration by which the dataset was made, if `record` is there.
        record: `invdpo.yaml` of the workspace.
        base: The model to compare with, where the training may have begun with another one.
    """
    from invdpo.curate.annotators.judges import SCORE_FLAGS, unchosen

    words, training = ["invdpo", "eval", str(tuned)], read_training(tuned)
    if training is None:
        return shlex.join(words)
    named, base = base, base or own_base(training)
    embedded = base.model in EMBEDDED_MODELS
    if embedded and (not record.is_file() or not _differs(curated)):
        return shlex.join(words)
    own = record.is_file() and is_confirmed(curated, record, set(Config.model_fields) - {"train"})
    if embedded and not own:
        return shlex.join(words)
    if not own or curated.score.annotator == "import":
        preset = fitting_preset(base.model, training.pipeline)
        judges = ["--preset", preset] if preset else f"--source scenes {SCORE_FLAGS}".split()
        return shlex.join([*words, *judges])
    words += ["--config", str(record)]
    drawn_by = curated.generate
    others = drawn_by.models or (drawn_by.model, drawn_by.revision) != (base.model, base.revision)
    if others or (named and not embedded):
        words += ["--model", str(base)]
    # those of a file are the prompts of the pairs
    if curated.prompts.source not in ("scenes", "shapes"):
        words += ["--source", "shapes" if embedded else "scenes", "--path", "none"]
    if embedded:
        return shlex.join(words)
    try:
        missing = unchosen(curated, ["score"])
    except PluginError:  # the scorer of another environment, of which `eval` says what is lacking
        missing = []
    return shlex.join([*words, *" ".join(missing).split()])


def _differs(curated: Config) -> bool:
    """Whether images were sampled or judged otherwise than an evaluation does by default."""
    plain = Config()
    return (
        any(getattr(curated.generate, n) != getattr(plain.generate, n) for n in SAMPLING)
        or curated.score.fingerprint() != plain.score.fingerprint()
    )
