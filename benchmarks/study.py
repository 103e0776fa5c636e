"""The runs of `embedded.py`: curate once, then train and judge each variant, resuming by files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invdpo.curate import steps
from invdpo.curate.evaluation.compare import evaluate_model
from invdpo.curate.evaluation.models import EvaluatedModel
from invdpo.curate.runner import RunOptions
from invdpo.curate.shapes import bundle
from invdpo.curate.storage.atomic import replacing
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import check
from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.ids import content_id

COMMON: dict[str, Any] = {
    "learning_rate": 1e-3,
    "beta": 2000,
    "weighting": "auto",
    "lora_rank": 16,
    "batch_size": 16,
    "num_inversion_steps": 20,
    "num_points": 2,
    "warmup_steps": 10,
    "keep": "best",
}
"""What all variants share, whatever the defaults."""

VARIANTS: dict[str, dict[str, Any]] = {
    "endpoint": {"objective": "inversion-dpo", "residual": "endpoint", "fresh_noise": 0.0},
    "endpoint-fresh": {"objective": "inversion-dpo", "residual": "endpoint", "fresh_noise": 0.8},
    "own": {"objective": "inversion-dpo", "noise": "own", "fresh_noise": 0.0},
    "own-fresh": {"objective": "inversion-dpo", "noise": "own", "fresh_noise": 0.8},
    "implied": {"objective": "inversion-dpo", "residual": "implied"},
    "reference": {"objective": "inversion-dpo", "residual": "reference"},
    "diffusion-dpo": {"objective": "diffusion-dpo"},
    "sft": {"objective": "sft"},
}

Right = dict[str, bool]
"""Prompt id to whether its image was exactly right."""


@dataclass(frozen=True)
class Plan:
    """What is run, and where it is kept."""

    folder: Path
    config: Config
    at: Sequence[int]
    """Optimiser steps whose checkpoints are judged; the last one ends a run."""
    changes: Mapping[str, Any]
    workspace: Path
    """Where the pairs are, or are made."""


@dataclass(frozen=True)
class Point:
    """One checkpoint, judged."""

    step: int
    seconds: float
    """Of training steps up to here, without validation."""
    forwards: int
    """UNet sample-forwards of training steps up to here."""
    validation_loss: float
    right: Right


@dataclass(frozen=True)
class Run:
    """One variant with one seed."""

    variant: str
    seed: int
    points: tuple[Point, ...]
    best_step: int
    """The judged step with the least loss on the validation pairs."""
    cache_seconds: float


class Study:
    """Everything that is done already is read from files."""

    def __init__(self, plan: Plan, note: Callable[[str], None]) -> None:
        self._plan, self._note = plan, note
        self._options = RunOptions(part_size=64)
        self._pairs = Workspace(plan.workspace)

    def curate(self) -> None:
        """Make the preference dataset that all runs share."""
        config, ws = self._plan.config, self._pairs
        if (ws.dataset_dir / "README.md").exists():
            return
        for step in (steps.make_prompts, steps.generate, steps.annotate, steps.score, steps.pair):
            self._note(str(step(ws, config, self._options)))

    def facts(self) -> dict[str, Any]:
        """Counts of the dataset, for the table's head."""
        report = json.loads(self._pairs.report_path.read_text(encoding="utf-8"))
        return {
            "prompts": report["prompts"]["total"],
            "candidates": report["candidates"]["total"],
            "pairs": report["pairs"]["total"],
            "held-out prompts": self._plan.config.eval.num_prompts,
            "steps": max(self._plan.at),
            **COMMON,
            **self._plan.changes,
        }

    def judge_base(self) -> Right:
        """The base model on the held-out prompts."""
        return self._judge("base", EvaluatedModel(self._plan.config.generate.model))

    def run(self, variant: str, seed: int) -> Run:
        """Train a variant, judge its checkpoints."""
        values = COMMON | VARIANTS[variant] | dict(self._plan.changes) | self._lengths(seed)
        config = check(TrainConfig, values, where="benchmark")
        name = f"{variant}-{seed}-{content_id(config.fingerprint())[:8]}"
        output = self._plan.folder / "runs" / name
        if not (output / "training.json").exists():
            self._train(config, output)
        result = json.loads((output / "training.json").read_text(encoding="utf-8"))["result"]
        points = tuple(self._points(name, output))
        best = min(points, key=lambda point: point.validation_loss).step
        shown = " ".join(f"{p.step}:{sum(p.right.values()) / len(p.right):.3f}" for p in points)
        self._note(f"{name} {shown} best {best} {dict(self._plan.changes)}")
        return Run(variant, seed, points, best, result["cache_seconds"])

    def _lengths(self, seed: int) -> dict[str, Any]:
        every, generate = math.gcd(*self._plan.at), self._plan.config.generate
        return {
            "model": str(bundle.bundled(generate.model)),
            "max_sequence_length": generate.max_sequence_length,
            "max_steps": max(self._plan.at),
            "validate_every": every,
            "save_every": every,
            "seed": seed,
        }

    def _train(self, config: TrainConfig, output: Path) -> None:
        from invdpo.train import train

        train(self._pairs.dataset_dir, output, config, cache_dir=self._plan.folder / "trajectories")

    def _points(self, name: str, output: Path) -> list[Point]:
        lines = (output / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        metrics = {int(row["step"]): row for row in map(json.loads, lines)}
        found = []
        for step in self._plan.at:
            folder = output / "checkpoints" / f"step-{step:06d}"
            right = self._judge(
                f"{name}-{step:04d}", _spec(folder, self._plan.config.generate.model)
            )
            row = metrics[step]
            loss = row["validation/loss"]
            found.append(Point(step, row["seconds"], row["forwards"], loss, right))
        return found

    def _judge(self, name: str, spec: EvaluatedModel) -> Right:
        path = self._plan.folder / "judged" / f"{name}.json"
        if not path.exists():
            ws = Workspace(self._plan.folder / "samples" / name)
            seen = evaluate_model(ws, self._judging(), spec, self._options)
            right = {prompt_id: outcome.right for (prompt_id, _), outcome in seen.items()}
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(right), encoding="utf-8")
        found: Right = json.loads(path.read_text(encoding="utf-8"))
        return found

    def _judging(self) -> Config:
        config = self._plan.config
        only = config.score.model_copy(update={"scorers": ("composition",)})
        return config.model_copy(update={"score": only})


def _spec(folder: Path, base: str) -> EvaluatedModel:
    """A checkpoint as `generate` takes it: a whole pipeline, or a LoRA on the base model."""
    if (folder / "model_index.json").exists():
        return EvaluatedModel(str(folder))
    return EvaluatedModel(base, lora=str(folder))
