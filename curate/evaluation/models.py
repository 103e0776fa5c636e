"""The models of an evaluation, the folders of their images, and what each is asked to generate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invdpo.curate.evaluation.preparation import TrainingPrompts
from invdpo.curate.evaluation.results import TUNED
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import load_config


@dataclass(frozen=True)
class EvaluatedModel:
    """A model as `generate` takes it."""

    model: str
    revision: str | None = None
    lora: str | None = None
    trained_on: TrainingPrompts | None = None
    guidance_scale: float | None = None
    """Of its images; None for that of the configuration."""

    @property
    def location(self) -> str:
        """What was given for it: the LoRA, or else the model."""
        return self.lora or self.model

    @property
    def name(self) -> str:
        """The location, with the revision of a model on the Hub."""
        return self.location if self.lora or not self.revision else f"{self.model}@{self.revision}"


def seed_folders(folder: Path, config: Config) -> dict[int, Path]:
    """Seed of the images -> the folder of its workspaces; that of `seed` is the evaluation's."""
    own, seeds = config.eval.seed, config.eval.seeds or (config.eval.seed,)
    return {seed: folder if seed == own else folder / f"seed-{seed}" for seed in seeds}


def tuned_workspaces(folder: Path, models: Sequence[EvaluatedModel]) -> list[Workspace]:
    """A workspace for each model: the one in `folder` that has its images, or a new one.

    The first is `tuned`, others `tuned-2` and so on, in the order in which they were first
    evaluated, so that one more model leaves the images of the others where they are.
    """
    paths = [folder / TUNED, *sorted(folder.glob(f"{TUNED}-*"), key=_number)]
    owners = {path: _owner(path) for path in paths}
    found = {owner: path for path, owner in reversed(owners.items()) if owner}
    taken, spaces = set(found.values()), []
    for model in models:
        path = found.get(_identity(model.location)) or _free(folder, taken)
        taken.add(path)
        spaces.append(Workspace(path))
    return spaces


def _owner(path: Path) -> str | None:
    """The model whose images a workspace holds; None for one that is new."""
    ws = Workspace(path)
    if not ws.configs():
        return None
    generate = load_config(ws.config_path).generate
    return _identity(generate.lora or generate.model)


def _identity(location: str) -> str:
    """One text for all ways to name a folder."""
    path = Path(location)
    return str(path.resolve()) if path.exists() else location


def _free(folder: Path, taken: set[Path]) -> Path:
    number = 1
    while (path := folder / (TUNED if number == 1 else f"{TUNED}-{number}")) in taken:
        number += 1
    return path


def _number(path: Path) -> int:
    end = path.name.rpartition("-")[2]
    return int(end) if end.isdecimal() else 0


def configure(config: Config, model: EvaluatedModel, seed: int) -> Config:
    """The configuration of one model: the evaluation's prompts, and images of one seed."""
    prompts = {"num_prompts": config.eval.num_prompts, "seed": config.eval.seed, "split": "heldout"}
    generate: dict[str, Any] = {
        "model": model.model,
        "revision": model.revision,
        "lora": model.lora,
        "models": (),
        "loras": (),
        "num_candidates": config.eval.num_images,
        "seed": seed,
    }
    if model.guidance_scale is not None:
        generate["guidance_scale"] = model.guidance_scale
    judges = {name: getattr(config.score, name) for name in ("annotator", "clip_model")}
    return config.model_copy(
        update={
            "prompts": config.prompts.model_copy(update=prompts),
            "generate": config.generate.model_copy(update=generate),
            "annotate": config.annotate.model_copy(update={"annotators": (judges["annotator"],)}),
            "score": config.score.model_copy(update=judges),  # which makes them chosen
        }
    )
