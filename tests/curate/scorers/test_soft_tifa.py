"""`soft_tifa`: questions about the facts of a graph, and probabilities of their answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from invdpo.curate.batching import Failure
from invdpo.curate.scorers import Candidate, Judged
from invdpo.curate.scorers.soft_tifa import SoftTifaScorer, fact_questions
from invdpo.schemas import ConfigError, Item, Relation, SceneGraph
from invdpo.schemas.config.score import ScoreConfig
from tests.curate.clients.server import Answer, question_text, reply, serving, yes_no_reply

GRAPH = SceneGraph(
    items=(
        Item(item_id=0, label="apple", attributes=("red",)),
        Item(item_id=1, label="dog"),
        Item(item_id=2, label="dog"),
    ),
    relations=(Relation(item1=0, relation="left of", item2=1),),
)
QUESTIONS = {
    "Is there an apple in the image?": "object",
    "Is there a dog in the image?": "object",
    "Is there an apple in the image that is red?": "attribute",
    "Is there a red apple left of a dog in the image?": "relation",
    'Is the number of "dog" in the image exactly 2?': "count",
}
Make = Callable[..., SoftTifaScorer]


def candidate(picture: bytes) -> Candidate:
    row = {"candidate_id": "c", "image": {"bytes": picture}, "graph": GRAPH.to_json()}
    return Candidate(row)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def scorer(url: str, **more: Any) -> SoftTifaScorer:
        given = {"vlm_url": url, "vlm_model": "m", "vlm_cache": str(tmp_path)}
        return SoftTifaScorer(ScoreConfig.model_validate(given | more))

    return scorer


def test_each_fact_becomes_a_question() -> None:
    """Two dogs are one question of their number; one apple is none, nor is the number in all."""
    assert fact_questions(GRAPH) == QUESTIONS


def test_the_mean_of_the_facts(make: Make, pictures: list[bytes]) -> None:
    """Spellings are added, other words don't count: (.3 + .1 + .2)/(.6 + .2) = .75, and 1/4."""
    sure = (("Yes", 0.3), ("yes", 0.1), (" yes", 0.2), ("No", 0.2), ("Maybe", 0.2))
    doubtful = (("no", 0.3), ("Yes.", 0.1))

    def behave(request: dict[str, Any], _n: int) -> Answer:
        return yes_no_reply(*(sure if "an apple" in question_text(request) else doubtful))

    with serving(behave) as server:
        (judged,) = make(server.url)([candidate(pictures[0])])
        (again,) = make(server.url, soft_tifa_mean="geometric")([candidate(pictures[0])])
    assert isinstance(judged, Judged)
    assert isinstance(again, Judged)
    assert judged.score == pytest.approx((0.75 + 0.25 + 0.75 + 0.25 + 0.25) / 5)
    kinds = {"object": 0.5, "attribute": 0.75, "relation": 0.25, "count": 0.25}
    assert judged.components == pytest.approx(kinds)
    assert again.score == pytest.approx((0.75**2 * 0.25**3) ** (1 / 5))
    assert len(server.requests) == len(QUESTIONS)  # the second scorer finds its answers kept
    request = server.requests[0]
    assert (request["max_tokens"], request["logprobs"]) == (1, True)
    assert "response_format" not in request


def test_without_probabilities_it_says_so_or_judges_by_the_word(
    make: Make, pictures: list[bytes]
) -> None:
    def behave(request: dict[str, Any], _n: int) -> Answer:
        if "logprobs" in request:
            return Answer({"error": {"message": "no logprobs here"}}, 400)
        yes = "red" in question_text(request)
        return yes_no_reply(("Yes" if yes else "No", 1.0), logprobs=False)

    with serving(behave) as server:
        with pytest.raises(ConfigError, match=r"gives no `logprobs`.*--soft-tifa-answer word"):
            make(server.url)([candidate(pictures[0])])
        (judged,) = make(server.url, soft_tifa_answer="word")([candidate(pictures[0])])
    assert isinstance(judged, Judged)
    assert judged.score == pytest.approx(2 / 5)


def test_an_answer_that_is_neither_costs_its_candidate(make: Make, pictures: list[bytes]) -> None:
    def behave(request: dict[str, Any], _n: int) -> Answer:
        if "left of" not in question_text(request):
            return yes_no_reply(("Yes", 1.0))
        return yes_no_reply(("Perhaps", 1.0))

    with serving(behave) as server:
        (judged,) = make(server.url)([candidate(pictures[0])])
    assert judged == Failure("no usable answer, twice: it is neither yes nor no")
    asked = [r["messages"][-1]["content"] for r in server.requests if len(r["messages"]) > 2]
    assert [text.endswith("again, in one word, Yes or No.") for text in asked] == [True]


def test_a_server_is_needed() -> None:
    with pytest.raises(ConfigError, match=r"score\.vlm_url: missing"):
        _ = SoftTifaScorer(ScoreConfig()).revision
    with serving(lambda *_: reply("x")) as server:
        config = ScoreConfig(vlm_url=server.url, vlm_model="lab/m")
        assert SoftTifaScorer(config).revision.startswith("lab/m arithmetic probability ")
        assert server.requests == []
