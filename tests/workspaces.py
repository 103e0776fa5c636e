"""A small workspace with every table of it, made without any model."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from invdpo.curate import steps
from invdpo.curate.prompts.base import Draft, prompt_row
from invdpo.curate.runner import RunOptions
from invdpo.curate.storage.parts import write_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import Item, Relation, SceneGraph
from invdpo.schemas.config import Config
from invdpo.schemas.config.pair import PairConfig
from invdpo.schemas.ids import content_id
from invdpo.schemas.tables import ANNOTATIONS, CANDIDATES, PROMPTS, SCORES

PART = 2
"""Prompts a part."""
CONFIG = Config(pair=PairConfig(min_margin=0.1, validation_fraction=0.4))
COLORS = ("red", "green", "blue", "yellow", "cyan", "magenta", "orange", "white")


def build(root: Path, *, prompts: int = 6, candidates: int = 3, model: str = "m") -> Workspace:
    """Prompts, candidates, graphs, two scorers, pairs and the dataset; ids are real ones."""
    ws = Workspace(root)
    rows = [prompt(n) for n in range(prompts)]
    origin = {"prompts": {"source": "tests", "num_prompts": prompts}}
    write_part(ws.prompts_path, pa.Table.from_pylist(rows, PROMPTS), origin)
    made = origin | {"generate": {"model": model, "k": candidates}, "layout": {"part_size": PART}}
    seen = made | {"annotate": {"annotator": "shapes", "revision": "1"}}
    for number, start in enumerate(range(0, prompts, PART)):
        name = f"part-{number:05d}.parquet"
        some = [candidate(row, k, model) for row in rows[start:][:PART] for k in range(candidates)]
        write_part(ws.candidates_dir / name, pa.Table.from_pylist(some, CANDIDATES), made)
        graphs = [annotation(row) for row in some]
        table = pa.Table.from_pylist(graphs, ANNOTATIONS)
        write_part(ws.annotations_dir("shapes") / name, table, seen)
        for scorer in ("composition", "clip"):
            table = pa.Table.from_pylist([score(row, scorer) for row in some], SCORES)
            fingerprint = made | {"score": {"scorer": scorer, "revision": "1"}}
            write_part(ws.scores_dir(scorer) / name, table, fingerprint)
    ws.save_config(CONFIG)
    steps.pair(ws, CONFIG, RunOptions(progress=False))
    return ws


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one, for those that only read it."""
    return build(tmp_path_factory.mktemp("built") / "work").root


@pytest.fixture
def work(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, `work` in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(built, "work"))


def prompt(number: int) -> dict[str, Any]:
    """A prompt with two objects in a relation."""
    one, two = COLORS[number % 8], COLORS[(number + 3) % 8]
    graph = SceneGraph(
        items=(
            Item(item_id=0, label="circle", attributes=(one,)),
            Item(item_id=1, label="square", attributes=(two,)),
        ),
        relations=(Relation(item1=0, relation="left of", item2=1),),
    )
    text = f"a {one} circle to the left of a {two} square"
    return prompt_row(Draft(f"{text}, number {number}", graph), "tests")


def candidate(row: dict[str, Any], k: int, model: str) -> dict[str, Any]:
    """The k-th candidate of a prompt; its image is noise of its own."""
    name = content_id(row["prompt_id"], k, model)
    return {
        "candidate_id": name,
        "prompt_id": row["prompt_id"],
        "width": 24,
        "height": 24,
        "seed": k,
        "image": {"bytes": png(int(name[:8], 16)), "path": f"{name}.png"},
        "model": model,
        "revision": "r",
        "phash": name[:16],
        "status": "ok",
    }


def png(seed: int, size: int = 24) -> bytes:
    """An image of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def annotation(row: dict[str, Any]) -> dict[str, Any]:
    """What an annotator saw: the circle, where the seed says."""
    box = (0.1 * row["seed"], 0.1, 0.1 * row["seed"] + 0.4, 0.6)
    graph = SceneGraph(
        items=(Item(item_id=0, label="circle", attributes=("red",), box=box, confidence=0.9),)
    )
    told = {"graph": graph.to_json(), "annotator": "shapes", "revision": "1", "status": "ok"}
    return {"candidate_id": row["candidate_id"], **told}


def score(row: dict[str, Any], scorer: str) -> dict[str, Any]:
    """`composition` likes high seeds; `clip` has a mind of its own."""
    own = int(content_id(row["candidate_id"], scorer)[:4], 16) / 65536
    value = row["seed"] / 4 + 0.01 * own if scorer == "composition" else own
    parts = [("all_right", float(row["seed"] > 1))] if scorer == "composition" else None
    return {
        "candidate_id": row["candidate_id"],
        "score": value,
        "components": parts,
        "scorer": scorer,
        "revision": "1",
        "status": "ok",
    }
