"""Where everything of a round is stored, and the configuration of its steps.

Round 1 generates with the base model, round n with that of round n-1. Each round is a workspace
of its own, `WORK/round-001`, with prompts that the validation does not have, nor any earlier round
unless prompts may repeat. What the rounds are judged on is in `WORK/validation`, one workspace
for each model, `base`, `round-001`…, or one for each of its guidance scales.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from invdpo.schemas.io.model_folder import find_folder, read_index

SAMPLED = ("shapes", "scenes")
"""Sources that sample prompts, and keep the combinations of one split out of the others."""
BASE = 0
"""Number of the base model among the models of the rounds."""


@dataclass(frozen=True)
class RoundPlan:
    """The folders and configurations of all rounds below `root`."""

    root: Path
    config: Config

    def folder(self, number: int) -> Path:
        """The workspace of a round, counted from 1."""
        return self.root / f"round-{number:03d}"

    def workspace(self, number: int) -> Workspace:
        """The same, to be worked on."""
        return Workspace(self.folder(number))

    def merged_pairs(self, number: int) -> Path:
        """The pairs of a round with those of earlier ones, where it trains on these, too."""
        return self.folder(number) / "training"

    def tuned(self, number: int) -> Path:
        """What a round trained."""
        return self.folder(number) / "tuned"

    def validation(self, number: int, scale: float | None = None) -> Workspace:
        """Where the model of a round is judged; 0 is the base model. `scale`: see `judging`."""
        folder = self.root / "validation" / (self.folder(number).name if number else "base")
        return Workspace(folder if scale is None else folder / f"guidance-{scale:g}")

    def evaluates(self, number: int) -> bool:
        """Whether the model of a round is evaluated: of every n-th round, and the last one."""
        every, last = self.config.improve.evaluate_every, self.config.improve.rounds
        return number % every == 0 or number == last

    def costs(self, number: int) -> Path:
        """What a round, or the base model's evaluation, has cost so far."""
        folder = self.validation(BASE).root if number == BASE else self.folder(number)
        return folder / "costs.json"

    def generator(self, number: int) -> dict[str, Any]:
        """The model that a round trained, as `generate` takes it; 0 is the base model."""
        base = {"model": self.config.generate.model, "revision": self.config.generate.revision}
        if number == BASE:
            return {**base, "lora": self.config.generate.lora}
        if self.config.train.tuning == "lora":
            return {**base, "lora": str(self.tuned(number))}
        return {"model": str(self.tuned(number)), "revision": None, "lora": None}

    def curation(self, number: int, used: int) -> Config:
        """The configuration by which the workspace of a round is made.

        `used`: the number of prompts that all rounds before it have read.
        """
        prompts = self._of_rounds()
        images = self.generator(number - 1)
        if self.config.improve.repeat_prompts:
            images |= {"seed": self.config.generate.seed + number}
            # what is read keeps its order, in which the prompts of the validation come first
            if not self._shuffled():
                prompts["seed"] = self.config.prompts.seed + number
        else:
            prompts["skip_prompts"] += used
        config = self._with_judges(prompts, images)
        numbered = config.dataset.model_copy(update={"round": number})
        return config.model_copy(update={"dataset": numbered})

    def judging(self, number: int, scale: float | None = None) -> Config:
        """The configuration by which the model of a round is judged.

        `scale`: one of several guidance scales; None for that of the candidates.
        """
        chosen, shuffled = self.config.improve, self._shuffled()
        prompts: dict[str, Any] = {"num_prompts": chosen.validation_prompts, "shuffle": shuffled}
        prompts["min_objects"] = 0  # rounds may differ in it, and are compared by the same prompts
        if not shuffled:
            prompts["split"] = "validation"
        images = self.generator(number) | {"num_candidates": chosen.validation_images}
        images |= {"seed": self.config.eval.seed}
        images |= {} if scale is None else {"guidance_scale": scale}
        return self._with_judges(prompts, images)

    def next_prompts(self, count: int, used: int) -> Config:
        """The configuration that takes the prompts of several rounds at once, to count them."""
        prompts = self._of_rounds()
        prompts["skip_prompts"] += used
        return self._with_judges({"num_prompts": count, **prompts}, {})

    def _of_rounds(self) -> dict[str, Any]:
        """Which prompts are no prompts of the validation: another split, or all but the first."""
        if not self._shuffled():
            return {"shuffle": False, "skip_prompts": 0, "split": "train"}
        return {"shuffle": True, "skip_prompts": self.config.improve.validation_prompts}

    def _shuffled(self) -> bool:
        """Whether prompts are read, and so may be sorted by kind."""
        return self.config.prompts.source not in SAMPLED

    def _with_judges(self, prompts: dict[str, Any], generate: dict[str, Any]) -> Config:
        """The configuration so changed. Its judges were chosen: later models are not `embedded`."""
        config = self.config
        score = {name: getattr(config.score, name) for name in ("annotator", "clip_model")}
        annotate = {"annotators": config.annotate.annotators}
        return config.model_copy(
            update={
                "prompts": config.prompts.model_copy(update=prompts),
                "generate": config.generate.model_copy(update=generate),
                "annotate": config.annotate.model_copy(update=annotate),
                "score": config.score.model_copy(update=score),
            }
        )


def pipeline_class(model: str) -> str:
    """What the index of a model here names; empty for one on the Hub."""
    folder = find_folder(weights_path(model))
    return str(read_index(folder).get("_class_name")) if folder else ""


def weights_path(model: str) -> str:
    """The folder of an embedded model, which `train` needs; of others what was given."""
    from invdpo.curate.shapes.bundle import bundled

    return str(bundled(model) or model)
