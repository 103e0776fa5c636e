"""How much rounds improve the embedded model, by recipe; prints a Markdown table.

Every recipe begins with the same base model and the same prompts, and every model is judged on the
same validation prompts and seeds. Everything is kept in the folder, so an interrupted run goes on.

    python benchmarks/improve.py --folder rounds
    python benchmarks/improve.py --folder rounds --only lower-rate --rounds 8 --seeds 3
    python benchmarks/improve.py --folder rounds --set train.beta=500 --only lower-rate
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml
from changes import read_change
from report import stamp, table

from invdpo.curate.runner import RunOptions
from invdpo.rounds.run import Improvement, improve
from invdpo.rounds.stopping import ALL_RIGHT, value
from invdpo.schemas.config.load import load_config
from invdpo.schemas.config.presets import preset_path
from invdpo.schemas.config.section import EMBEDDED, EMBEDDED_MODELS

COMMON: dict[str, dict[str, Any]] = {
    "prompts": {"num_prompts": 256, "seed": 11},
    "generate": {"num_candidates": 6, "num_inference_steps": 12, "guidance_scale": 2.0},
    "score": {"scorers": ["composition", "clip"]},
    "pair": {"min_margin": 1.0, "validation_fraction": 0.0},
    "train": {
        "objective": "diffusion-dpo",
        "tuning": "full",
        "learning_rate": 3e-5,
        "num_points": 2,
        "num_inversion_steps": 10,
        "warmup_steps": 5,
        "max_steps": 40,
        "validate_every": 40,
        "keep": "last",
    },
    "improve": {"validation_prompts": 256, "validation_images": 2},
}
"""What all recipes share: 1,536 images and 40 steps of 16 pairs a round."""
RIGHT_AND_WRONG = {"policy": "all", "floors": {"composition": 1.0}}
"""All pairs of an exactly right image and one that is not."""
SMALLER_BETA: dict[str, dict[str, Any]] = {
    "prompts": {"num_prompts": 512},
    "pair": RIGHT_AND_WRONG,
    "train": {
        "beta": 500.0,
        "learning_rate": 1e-4,
        "lr_scheduler": "cosine",
        "num_points": 1,
        "batch_size": 64,
        "max_steps": 80,
        "validate_every": 80,
    },
}


def _with(recipe: dict[str, dict[str, Any]], **train: Any) -> dict[str, dict[str, Any]]:
    """The recipe with other options of training."""
    return {**recipe, "train": {**recipe["train"], **train}}


OWN_NOISE: dict[str, Any] = {"objective": "inversion-dpo", "noise": "own", "fresh_noise": 0.8}
PRESET = yaml.safe_load(preset_path("rounds-embedded").read_text(encoding="utf-8"))
"""Images of the model itself; what guidance adds is found out on the validation prompts."""
WITHOUT_GUIDANCE = _with(
    {
        **PRESET,
        "prompts": {**PRESET["prompts"], "num_prompts": 512},
        "improve": {**PRESET["improve"], "validation_prompts": 256, "evaluate_every": 1},
    },
    max_steps=80,
    validate_every=80,
)
"""The same in rounds of eight times the size, each evaluated."""

RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "lower-rate": {},
    "winners-right": {
        "pair": {"floors": {"composition": 1.0}},
        "train": {"learning_rate": 5e-5, "num_points": 4},
    },
    "every-right-winner": {
        "pair": RIGHT_AND_WRONG,
        "train": {"learning_rate": 5e-5, "num_points": 4, "max_steps": 80, "validate_every": 80},
    },
    "smaller-beta": SMALLER_BETA,
    "smaller-beta-sft": _with(SMALLER_BETA, sft_share=0.2),
    "own-noise": _with(SMALLER_BETA, **OWN_NOISE),
    "preset": PRESET,
    "without-guidance": WITHOUT_GUIDANCE,
    "without-guidance-own-noise": _with(WITHOUT_GUIDANCE, **OWN_NOISE),
    "larger-batches": {
        "pair": RIGHT_AND_WRONG,
        "train": {
            "learning_rate": 8e-5,
            "lr_scheduler": "cosine",
            "num_points": 4,
            "batch_size": 32,
            "max_steps": 80,
            "validate_every": 80,
        },
    },
    "larger-batches-sft": {
        "pair": RIGHT_AND_WRONG,
        "train": {
            "learning_rate": 8e-5,
            "sft_share": 0.1,
            "lr_scheduler": "cosine",
            "num_points": 4,
            "batch_size": 32,
            "max_steps": 80,
            "validate_every": 80,
        },
    },
    "loser-scaling": {"train": {"learning_rate": 1e-4, "loser_scaling": 0.9}},
    "box-weight": {"train": {"box_weight": 5.0}},
    "all-pairs": {
        "pair": {"policy": "all", "weights": {"composition": 1.0}},
        "train": {"learning_rate": 1e-4},
    },
    "all-pairs-loser-scaling": {
        "pair": {"policy": "all", "weights": {"composition": 1.0}},
        "train": {"learning_rate": 1e-4, "loser_scaling": 0.9},
    },
    "all-pairs-lower-rate": {"pair": {"policy": "all"}, "train": {"loser_scaling": 0.9}},
    "inversion": {
        "train": {"objective": "inversion-dpo", "fresh_noise": 0.8, "learning_rate": 5e-5}
    },
}
HEAD = (
    "recipe",
    "seed",
    "round",
    "exactly right [95 %]",
    "clip",
    "diversity",
    "pairs",
    "UNet calls so far",
    "seconds so far",
)


def main() -> None:
    """Read the flags, run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("rounds"), help="where all is kept")
    parser.add_argument("--model", choices=EMBEDDED_MODELS, default=EMBEDDED, help="the base")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each recipe")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each recipe")
    parser.add_argument("--only", nargs="*", choices=sorted(RECIPES), help="some recipes alone")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="SECTION.KEY=VALUE", help="of all recipes"
    )
    given = parser.parse_args()
    rows = []
    for name in given.only or RECIPES:
        for seed in range(given.seeds):
            values = _values(
                name, seed, given.rounds, [f"generate.model={given.model}", *given.set]
            )
            config = load_config(None, values)
            root = given.folder / f"{name}-{seed}"
            done = improve(root, config, RunOptions(part_size=64), _note)
            rows += _rows(name, seed, done)
    print(f"{stamp()}, no accelerator.\n\n{table(HEAD, rows)}")


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _values(name: str, seed: int, rounds: int, changes: list[str]) -> dict[str, dict[str, Any]]:
    """The configuration of one run."""
    recipe = RECIPES[name]
    sections = dict.fromkeys([*COMMON, *recipe])
    values = {name: {**COMMON.get(name, {}), **recipe.get(name, {})} for name in sections}
    values["prompts"]["seed"] += seed
    values["generate"]["seed"] = values["train"]["seed"] = seed
    values["improve"]["rounds"] = rounds
    for text in changes:
        key, value = read_change(text)
        section, _, field = key.partition(".")
        values[section][field] = value
    return values


def _rows(name: str, seed: int, done: Improvement) -> list[tuple[str, ...]]:
    rows, calls, seconds = [], 0.0, 0.0
    for result, row in zip(done.results, done.rows(), strict=True):
        calls, seconds = calls + row["forwards"], seconds + row["seconds"]
        right = value(result, ALL_RIGHT)
        rows.append(
            (
                name,
                str(seed),
                str(result.number or "base"),
                f"{right.value:.3f} [{right.low:.3f}, {right.high:.3f}]",
                f"{value(result, 'clip').value:.3f}",
                f"{row['diversity']:.3f}",
                f"{result.pairs}",
                f"{calls:,.0f}",
                f"{seconds:,.0f}",
            )
        )
    return rows


if __name__ == "__main__":
    main()
