"""`invdpo curate annotate` with a model behind a server: budget, going on, counts, and no key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from invdpo.curate import steps
from invdpo.curate.clients.budget import BudgetError
from invdpo.curate.runner import RunOptions
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from tests.curate.clients.server import SECRET, Answer, graph_reply, reply, serving
from tests.curate.tiny import tiny_config

OPTIONS = RunOptions(part_size=3, progress=False)


def config(model: Path, url: str, cache: Path, **more: Any) -> Config:
    vlm = {
        "annotators": ["vlm"],
        "vlm_url": url,
        "vlm_model": "m",
        "vlm_cache": str(cache),
        "vlm_vocabulary": "open",
        "vlm_concurrency": 2,
        "batch_size": 4,
    }
    return tiny_config(model, prompts={"num_prompts": 6}, annotate=vlm | more)


def test_a_run_that_is_out_of_money_goes_on(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """12 images in two parts at 110 tokens each; 900 tokens are enough for 8 of them."""
    monkeypatch.setenv("INVDPO_VLM_KEY", SECRET)
    ws, cache = Workspace(tmp_path / "work"), tmp_path / "cache"
    with serving(lambda request, _: reply(graph_reply(request, "cat"))) as server:
        poor = config(tiny_model, server.url, cache, vlm_budget_tokens=900)
        steps.make_prompts(ws, poor, OPTIONS)
        steps.generate(ws, poor, OPTIONS)
        (planned,) = steps.annotate(ws, poor, RunOptions(progress=False, dry_run=True))
        assert (planned.planned, len(server.requests)) == (12, 0)
        with pytest.raises(BudgetError, match=r"900 tokens is spent \(8 questions"):
            steps.annotate(ws, poor, OPTIONS)
        assert len(ws.iter_parts(ws.annotations_dir("vlm"))) == 1
        (result,) = steps.annotate(ws, poor, OPTIONS)
        assert (result.made, result.resumed, len(server.requests)) == (6, 6, 12)
        assert result.notes == (
            "2 answers from the cache, 4 questions, 400 tokens in, 40 tokens out",
        )
    rows = ws.read_table(ws.annotations_dir("vlm")).to_pylist()
    assert [row["status"] for row in rows] == ["ok"] * 12
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()


def test_a_question_that_failed_is_asked_again_when_asked_for(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers of all other images come from the cache."""
    monkeypatch.setenv("INVDPO_VLM_KEY", SECRET)
    ws, cache = Workspace(tmp_path / "work"), tmp_path / "cache"
    retry = RunOptions(part_size=3, progress=False, retry_rejected=True)

    def busy_at_first(request: dict[str, Any], number: int) -> Answer:
        return Answer(status=504) if number == 3 else reply(graph_reply(request, "cat"))

    with serving(busy_at_first) as server:
        asked = config(tiny_model, server.url, cache, vlm_tries=1, vlm_concurrency=1)
        steps.make_prompts(ws, asked, OPTIONS)
        steps.generate(ws, asked, OPTIONS)
        (first,) = steps.annotate(ws, asked, OPTIONS)
        assert (first.rejected, len(server.requests)) == (1, 12)
        (again,) = steps.annotate(ws, asked, OPTIONS)
        assert (again.made, again.rejected, len(server.requests)) == (0, 1, 12)
        (mended,) = steps.annotate(ws, asked, retry)
        assert (mended.made, mended.resumed, mended.rejected) == (6, 6, 0)
        assert len(server.requests) == 13
