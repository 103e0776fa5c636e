"""A folder of rounds as `improve` leaves it, written by hand: record, images, configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from invdpo.curate.storage.parts import write_part
from invdpo.rounds.page import read_improvement
from invdpo.rounds.record import Record, RoundResult
from invdpo.rounds.round_plan import RoundPlan
from invdpo.rounds.run import Improvement
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import load_config
from invdpo.schemas.tables import CANDIDATES, PROMPTS, SCORES
from tests.workspaces import candidate, prompt, score

CONFIG = load_config(
    None,
    {
        "score": {"scorers": ["composition", "clip"]},
        "pair": {"weights": {"composition": 1.0}, "held_out": "clip"},
        "improve": {"rounds": 2},
    },
)
ODD = '<script src="https://evil.example/x.js">alert(1)</script> & "two" cats'
"""The text of the first validation prompt."""
ROWS = [prompt(n) | ({"prompt": ODD} if n == 0 else {}) for n in range(4)]
ALL_RIGHT = ([0.0, 0.0, 1.0, 0.0], [0.5, 1.0, 1.0, 0.0], [0.5, 0.0, 1.0, 0.0])
"""Of the base model and two rounds: the means of four prompts, of two images each."""


def changed_config(
    sections: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Mapping[str, Any]]
) -> Config:
    """The configuration of these sections, with some of their values changed."""
    names = dict.fromkeys([*sections, *changes])
    changed = {name: {**sections.get(name, {}), **changes.get(name, {})} for name in names}
    return load_config(None, changed)


def results() -> tuple[RoundResult, ...]:
    """The base model, and two rounds; nothing tells how diverse the last one is."""
    return tuple(_result(n, values) for n, values in enumerate(ALL_RIGHT))


def _result(number: int, values: list[float]) -> RoundResult:
    ids = [row["prompt_id"] for row in ROWS]
    judgement: dict[str, Any] = {
        "figures": {
            "composition_all_right": dict(zip(ids, values, strict=True)),
            "clip": dict.fromkeys(ids, 0.25 + number / 8),
        },
        "facts": {"attribute": [6 - number, 8], "relation": [0, 0]},
        "diversity": (0.4, 0.375, None)[number],
        "statistics": {"dark": 0.125, "edges": 0.25, "color_entropy": 2.5 + number},
        "images": 8,
        "rejected": 0,
    }
    if number == 0:
        return RoundResult(0, "embedded", "r", judgement, cost={"validation_seconds": 90.0})
    cost = {
        "generate_forwards": 1000.0,
        "train_forwards": 234.0,
        "generate_seconds": 60.0,
        "validation_seconds": 30.0,
        "train_seconds": 120.0,
    }
    folder = f"round-{number:03d}/tuned"
    return RoundResult(number, folder, f"r{number}", judgement, 1500, 1500, 2000, 1500, cost)


def improvement(
    root: Path, config: Config = CONFIG, models: tuple[RoundResult, ...] = ()
) -> Improvement:
    """The rounds of a folder, recorded there."""
    Record({}, models or results()).write(root)
    return read_improvement(root, config)


def guided_results() -> tuple[RoundResult, ...]:
    """The same, each judged at several guidance scales, of which another one was the best."""
    scales = zip(results(), (3.0, 1.5, 1.0), strict=True)
    return tuple(replace(result, guidance_scale=scale) for result, scale in scales)


def draw(root: Path, models: Sequence[RoundResult] = ()) -> None:
    """What each model drew: four prompts in two parts, two images each.

    The second images are right and the first are not, but for the third prompt, where all are. The
    first image for the last prompt could not be used.
    """
    for number, model in enumerate(models or results()):
        ws = RoundPlan(root, CONFIG).validation(number, model.guidance_scale)
        write_part(ws.prompts_path, pa.Table.from_pylist(ROWS, PROMPTS), {})
        for part in range(2):
            drawn = [
                candidate(row, k, f"m{number}") for row in ROWS[2 * part :][:2] for k in range(2)
            ]
            name = f"part-{part:05d}.parquet"
            judged = [score(row, "composition") for row in drawn]
            for row, verdict in zip(drawn, judged, strict=True):
                right = row["seed"] == 1 or row["prompt_id"] == ROWS[2]["prompt_id"]
                verdict["components"] = [("all_right", float(right))]
                if row["seed"] == 0 and row["prompt_id"] == ROWS[3]["prompt_id"]:
                    failed = {"status": "rejected", "error": "one single colour"}
                    row |= failed | {"image": None}
                    verdict |= failed | {"score": None, "components": None}
            write_part(ws.candidates_dir / name, pa.Table.from_pylist(drawn, CANDIDATES), {})
            scores = pa.Table.from_pylist(judged, SCORES)
            write_part(ws.scores_dir("composition") / name, scores, {})


def stored(path: Path) -> dict[str, Any]:
    """A JSON file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
