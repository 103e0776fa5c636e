"""A small workspace whose scores are known, and the dataset that is written from it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from invdpo.curate.dataset.write import write_dataset
from invdpo.curate.storage.parts import write_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas.tables import ANNOTATIONS, CANDIDATES, PROMPTS, SCORES, pairs_schema

PAIRS = 30
MADE_BY = {"a": {"b": 1}}
GRAPH = '{"items":[{"item_id":0,"label":"circle"}]}'


def png(shade: int) -> bytes:
    """An image of its own for each number below 2**24."""
    file = io.BytesIO()
    colour = (shade % 256, shade // 256 % 256, shade // 65536)
    Image.new("RGB", (6, 6), colour).save(file, "PNG")
    return file.getvalue()


def candidate(n: int) -> dict[str, Any]:
    image = {"bytes": png(n), "path": f"c{n}.png"}
    origin = {"seed": 1000 + n, "model": "m", "revision": "r", "width": 6, "height": 6}
    row = {"candidate_id": f"c{n}", "prompt_id": f"p{n // 3}", "image": image, "status": "ok"}
    return row | origin


def table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema)


def workspace(root: Path | str) -> Workspace:
    """30 prompts of 3 candidates, in 3 parts; two scorers."""
    ws = Workspace(root)
    prompts = [{"prompt_id": f"p{n}", "prompt": f"image {n}", "graph": GRAPH} for n in range(30)]
    write_part(ws.prompts_path, table(prompts, PROMPTS), {})
    for part in range(3):
        numbers = range(part * 30, part * 30 + 30)
        name = f"part-{part:05d}.parquet"
        rows = [candidate(n) for n in numbers]
        write_part(ws.candidates_dir / name, table(rows, CANDIDATES), {})
        seen = [{"candidate_id": f"c{n}", "graph": GRAPH, "status": "ok"} for n in numbers]
        write_part(ws.annotations_dir("shapes") / name, table(seen, ANNOTATIONS), {})
        for scorer, parts in (("composition", [("all_right", 1.0)]), ("clip", None)):
            scored = [
                {"candidate_id": f"c{n}", "score": n / 90, "components": parts} for n in numbers
            ]
            write_part(ws.scores_dir(scorer) / name, table(scored, SCORES), {})
    return ws


def pairs(count: int = PAIRS, held: int = 6) -> pa.Table:
    rows = [
        {
            "pair_id": f"pair{n}",
            "prompt_id": f"p{n}",
            "chosen_id": f"c{3 * n + 2}",
            "rejected_id": f"c{3 * n}",
            "margin": 1.5,
            "delta_composition": 2 / 90,
            "delta_clip": 2 / 90,
            "split": "validation" if n < held else "train",
        }
        for n in range(count)
    ]
    return table(rows, pairs_schema(["composition", "clip"]))


def write(
    ws: Workspace, given: pa.Table | None = None, made_by: Any = MADE_BY, **options: Any
) -> Path:
    chosen = pairs() if given is None else given
    return write_dataset(ws, chosen, made_by, annotator="shapes", **options)
