"""Rounds in the embedded world, each as small as it can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from invdpo.curate.runner import RunOptions
from invdpo.rounds.run import Improvement, improve
from invdpo.schemas.config import Config
from tests.invdpo.rounds.recorded import changed_config

OPTIONS = RunOptions(progress=False)


def small_config(**changes: dict[str, Any]) -> Config:
    sections: dict[str, dict[str, Any]] = {
        "prompts": {"num_prompts": 4},
        "generate": {"num_candidates": 3, "num_inference_steps": 2, "guidance_scale": 1},
        "score": {"scorers": ["composition", "clip"]},
        "pair": {"min_margin": 0, "weights": {"clip": 1}, "validation_fraction": 0},
        "train": {
            "tuning": "full",
            "objective": "diffusion-dpo",
            "max_steps": 1,
            "num_points": 1,
            "batch_size": 2,
            "warmup_steps": 0,
            "keep": "last",
        },
        "improve": {"rounds": 2, "validation_prompts": 2, "validation_images": 2},
    }
    return changed_config(sections, changes)


def ignore(_: str) -> None:
    """Nobody reads the notes here."""


def run_rounds(root: Path, config: Config) -> Improvement:
    return improve(root, config, OPTIONS, ignore)
