"""A small workspace that no model made: tables by hand, pairs by the real step."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from invdpo.curate import steps
from invdpo.curate.runner import RunOptions
from invdpo.curate.storage.parts import write_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from invdpo.schemas.config.pair import PairConfig
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.tables import ANNOTATIONS, CANDIDATES, OK, PROMPTS, SCORES, Record

RED_LEFT_OF_BLUE = {
    "items": [
        {"item_id": 0, "label": "circle", "attributes": ["red"]},
        {"item_id": 1, "label": "square", "attributes": ["blue"]},
    ],
    "relations": [{"item1": 0, "relation": "left of", "item2": 1}],
}
SEEN_RIGHT = {
    "items": [
        {"item_id": 0, "label": "circle", "attributes": ["red"], "box": [0.1, 0.2, 0.4, 0.6]},
        {"item_id": 1, "label": "square", "attributes": ["blue"], "box": [0.5, 0.2, 0.9, 0.6]},
    ],
    "relations": [{"item1": 0, "relation": "left of", "item2": 1}],
}
SEEN_WRONG = {
    "items": [
        {"item_id": 0, "label": "circle", "attributes": ["red"], "box": [0.1, 0.2, 0.4, 0.6]},
        {"item_id": 1, "label": "blob", "attributes": [], "box": [0.5, 0.2, 0.9, 0.6]},
    ],
}


def picture(colour: str, size: tuple[int, int] = (64, 64)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def workspace(
    root: Path,
    prompts: Sequence[str] = ("a red circle to the left of a blue square",) * 3,
    *,
    graph: dict[str, Any] | None = RED_LEFT_OF_BLUE,
    pair: PairConfig | None = None,
    annotated: bool = True,
    size: tuple[int, int] = (64, 64),
) -> Workspace:
    """Two candidates a prompt: the first is as it should be, the second lacks the square."""
    ws = Workspace(root)
    made_prompts = {"prompts": {"source": "hand"}}
    made_candidates = made_prompts | {"generate": {"model": "none"}, "layout": {"part_size": 16}}
    text = None if graph is None else json.dumps(graph)
    rows = [
        {"prompt_id": f"p{n}", "prompt": prompt, "graph": text, "source": "hand", "status": OK}
        for n, prompt in enumerate(prompts)
    ]
    write_part(ws.prompts_path, pa.Table.from_pylist(rows, PROMPTS), made_prompts)
    candidates = [_candidate(n, k, size) for n in range(len(prompts)) for k in (0, 1)]
    _write(ws.candidates_dir, candidates, CANDIDATES, made_candidates)
    if annotated:
        annotations = [_annotation(row) for row in candidates]
        _write(
            ws.annotations_dir("shapes"),
            annotations,
            ANNOTATIONS,
            made_candidates | {"annotate": {}},
        )
    for name in ("composition", "clip"):
        scores = [_score(row, name) for row in candidates]
        _write(ws.scores_dir(name), scores, SCORES, made_candidates | {"score": {"name": name}})
    config = Config(pair=pair or PairConfig(min_margin=0), score=ScoreConfig(annotator="shapes"))
    steps.pair(ws, config, RunOptions())
    return ws


def _write(folder: Path, rows: list[Record], schema: pa.Schema, made_by: dict[str, Any]) -> None:
    write_part(folder / "part-00000.parquet", pa.Table.from_pylist(rows, schema), made_by)


def _candidate(prompt: int, k: int, size: tuple[int, int]) -> Record:
    image = {"bytes": picture(("white", "black")[k], size), "path": None}
    return {
        "candidate_id": f"p{prompt}-{k}",
        "prompt_id": f"p{prompt}",
        "image": image,
        "seed": k,
        "model": "/somewhere/private/model",
        "revision": "r1",
        "width": size[0],
        "height": size[1],
        "steps": 12,
        "guidance_scale": 2.0,
        "status": OK,
    }


def _annotation(row: Record) -> Record:
    graph = SEEN_WRONG if row["seed"] else SEEN_RIGHT
    return {
        "candidate_id": row["candidate_id"],
        "graph": json.dumps(graph),
        "annotator": "shapes",
        "revision": "1",
        "status": OK,
    }


def _score(row: Record, scorer: str) -> Record:
    """Both like the first candidate better, and a little more from prompt to prompt."""
    better = 0.5 + int(row["prompt_id"][1:]) / 100
    return {
        "candidate_id": row["candidate_id"],
        "score": 0.25 if row["seed"] else better,
        "components": {},
        "scorer": scorer,
        "revision": "2",
        "status": OK,
    }
