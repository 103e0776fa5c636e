"""A workspace as `score` leaves it, made by hand: real graphs, two models, images of no use."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from invdpo.curate.prompts.base import Draft, prompt_row
from invdpo.curate.shapes import scenes, world
from invdpo.curate.storage.parts import write_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas.tables import CANDIDATES, PROMPTS, SCORES, Record
from tests.curate.dataset_files import png

SCORERS = ("composition", "clip", "pickscore", "aesthetic", "nsfw")
PART = "part-00000.parquet"


def scored_workspace(root: Path, *, prompts: int = 40, seeds: int = 3) -> Workspace:
    """Candidates of two models with the same seeds, and scores that agree a little."""
    rng, ws = np.random.default_rng(0), Workspace(root)
    graphs = [scenes.sample_graph(rng, "train") for _ in range(prompts)]
    drafts = {world.caption(graph): graph for graph in graphs}
    prompt_rows = [prompt_row(Draft(text, graph), "shapes") for text, graph in drafts.items()]
    made: dict[str, Any] = {"prompts": {"source": "shapes"}}
    write_part(ws.prompts_path, pa.Table.from_pylist(prompt_rows, PROMPTS), made)
    made |= {"generate": {}, "layout": {"part_size": len(prompt_rows)}}
    rows = [
        _candidate(prompt, seed, model, int(rng.integers(2**63)))
        for prompt in prompt_rows
        for model in "mn"
        for seed in range(seeds)
    ]
    write_part(ws.candidates_dir / PART, pa.Table.from_pylist(rows, CANDIDATES), made)
    quality = rng.normal(size=len(rows))
    for name in SCORERS:
        values = quality + rng.normal(size=len(rows))
        # Of few levels between 0 and 1 where the scorer says so; around 6 for `aesthetic`.
        if name in ("composition", "nsfw"):
            values = np.clip(np.round(values * 2 + 4) / 8, 0, 1)
        score_rows = [
            {
                "candidate_id": row["candidate_id"],
                "score": value,
                "components": [],
                "scorer": name,
                "status": "ok",
            }
            for row, value in zip(rows, values + 6 * (name == "aesthetic"), strict=True)
        ]
        fingerprint = made | {"score": {"scorer": name, "revision": "1"}}
        write_part(
            ws.scores_dir(name) / PART, pa.Table.from_pylist(score_rows, SCORES), fingerprint
        )
    return ws


def _candidate(prompt: Record, seed: int, model: str, look: int) -> Record:
    name = f"{prompt['prompt_id'][:12]}-{model}-{seed}"
    picture = {"bytes": png(zlib.crc32(name.encode()) % 2**24), "path": None}
    return {
        "candidate_id": name,
        "prompt_id": prompt["prompt_id"],
        "image": picture,
        "seed": seed,
        "model": model,
        "revision": "1",
        "phash": f"{look:016x}",
        "status": "ok",
    }
