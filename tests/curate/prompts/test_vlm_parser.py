"""Scene graphs of prompts by a model behind a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from invdpo.curate import steps
from invdpo.curate.clients.budget import BudgetError
from invdpo.curate.prompts import PROMPT_SOURCES, Draft
from invdpo.curate.runner import RunOptions
from invdpo.curate.workspace import Workspace
from invdpo.schemas import ConfigError
from invdpo.schemas.config import Config
from invdpo.schemas.config.prompts import PromptsConfig
from tests.curate.clients.server import Answer, graph_reply, question_text, reply, serving

UNUSUAL = 'say "no"\\n {0} %s {{x}} красный кот 赤い猫'


def settings(url: str, folder: Path, *lines: str, **more: Any) -> dict[str, Any]:
    path = folder / "prompts.txt"
    path.write_text("\n".join(lines))
    return {
        "source": "file",
        "path": str(path),
        "parser": "vlm",
        "vlm_url": url,
        "vlm_model": "m",
        "vlm_cache": str(folder / "cache"),
        "vlm_concurrency": 1,
    } | more


def drafts(section: dict[str, Any]) -> list[Draft]:
    return list(PROMPT_SOURCES["file"](PromptsConfig.model_validate(section))())


def last_word(request: dict[str, Any], _: int) -> Answer:
    prompt = json.loads(question_text(request).partition("JSON string: ")[2])
    return reply(graph_reply(request, prompt.split()[-1]))


def test_prompts_get_graphs_in_order(tmp_path: Path) -> None:
    with serving(last_word) as server:
        parsed = drafts(
            settings(server.url, tmp_path, "a sly fox", UNUSUAL, "a cat", vlm_concurrency=2)
        )
    assert [draft.prompt for draft in parsed] == ["a sly fox", UNUSUAL, "a cat"]
    labels = [draft.graph.items[0].label for draft in parsed if draft.graph is not None]
    assert labels == ["fox", "赤い猫", "cat"]


def test_given_graphs_stay_and_bad_prompts_are_not_asked_about(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    graph = {"items": [{"item_id": 0, "label": "given"}]}
    records = [{"prompt": "a dog", "graph": graph}, {"prompt": "x" * 20_000}, {"prompt": "a cat"}]
    path.write_text("\n".join(map(json.dumps, records)) + '\n{"prompt": "\\ud800"}')
    with serving(last_word) as server:
        parsed = drafts(settings(server.url, tmp_path) | {"path": str(path)})
    assert [d.graph.items[0].label if d.graph else None for d in parsed] == [
        "given",
        None,
        "cat",
        None,
    ]
    assert len(server.requests) == 1


def test_what_cannot_be_read_is_rejected_and_nothing_is_no_graph(tmp_path: Path) -> None:
    def behave(request: dict[str, Any], n: int) -> Answer:
        return (
            reply(graph_reply(request)) if "mood" in question_text(request) else reply("who knows")
        )

    with serving(behave) as server:
        mood, other = drafts(settings(server.url, tmp_path, "a mood", "a cat"))
    assert (mood.graph, mood.error) == (None, None)
    assert other.error == "no usable answer, twice: the answer is not JSON"


def test_the_step_counts_resumes_and_plans_without_asking(tmp_path: Path) -> None:
    options = RunOptions(progress=False)
    with serving(last_word) as server:
        section = settings(server.url, tmp_path, "a fox", "a cat", vlm_budget_tokens=200)
        config = Config.model_validate({"prompts": section})
        planned = steps.make_prompts(
            Workspace(tmp_path / "work"), config, RunOptions(progress=False, dry_run=True)
        )
        assert (planned.planned, len(server.requests)) == (2, 0)
        with pytest.raises(BudgetError, match="budget of 200 tokens is spent"):
            steps.make_prompts(Workspace(tmp_path / "work"), config, options)
        made = steps.make_prompts(Workspace(tmp_path / "work"), config, options)
        again = steps.make_prompts(Workspace(tmp_path / "work"), config, options)
    assert len(server.requests) == 2
    counted = "1 answer from the cache, 1 question, 100 tokens in, 10 tokens out"
    assert counted in made.notes
    assert (made.made, again.made, again.resumed) == (2, 0, 2)


def test_the_model_is_part_of_the_fingerprint_and_its_url_is_not(tmp_path: Path) -> None:
    def fingerprint(**more: Any) -> object:
        section = settings("http://127.0.0.1:1/v1", tmp_path, "a fox") | more
        return PROMPT_SOURCES["file"](PromptsConfig.model_validate(section)).fingerprint()

    assert fingerprint() == fingerprint(vlm_url="http://127.0.0.1:2/v1", vlm_budget_tokens=5)
    assert fingerprint() != fingerprint(vlm_model="n")
    assert fingerprint() != fingerprint(parser="rules")


def test_a_missing_server_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"prompts\.vlm_url: missing"):
        drafts(settings("x", tmp_path, "a fox", vlm_url=None))
