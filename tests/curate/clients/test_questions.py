"""Answers of a model: wrong ones, cached ones, their counts, and the budget."""

from __future__ import annotations

import base64
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from invdpo.curate.batching import Failure
from invdpo.curate.clients.budget import BudgetError
from invdpo.schemas import ConfigError
from tests.curate.clients.server import SECRET, Answer, in_turn, reply, serving
from tests.curate.clients.vlm_questions import GOOD, Connect, echo, numbered, question
from tests.curate.dataset_files import png


def test_question_goes_out_as_the_protocol_has_it(connect: Connect) -> None:
    image = png(1)
    with serving(in_turn(GOOD)) as server:
        assert connect(server.url + "/").answer([question(image=image)]) == [7]
    (request,) = server.requests
    assert server.paths == ["/v1/chat/completions"]
    assert server.keys == [f"Bearer {SECRET}"]
    encoded = base64.b64encode(image).decode()
    system, user = request["messages"]
    assert (system["role"], system["content"]) == ("system", "Count.")
    assert user["content"] == [
        {"type": "text", "text": "how many?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}},
    ]
    assert (request["model"], request["max_tokens"], request["temperature"]) == ("m", 2048, 0.0)
    form = request["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"] == {"name": "answer", "strict": True, "schema": {"type": "object"}}


def test_many_at_a_time_and_in_order(connect: Connect) -> None:
    four = Barrier(4)

    def meet(request: dict[str, Any], n: int) -> Answer:
        if n < 4:  # answered when all four are here
            four.wait(240)
        return echo(request, n)

    with serving(meet) as server:
        assert connect(server.url, vlm_concurrency=4).answer(numbered(12)) == [*range(12)]
    assert server.most_open_requests == 4


@pytest.mark.parametrize(
    "wrong",
    [
        reply('{"n": 7'),
        reply({"m": 7}),
        reply("seven"),
        reply(""),
        reply("[7]"),
        reply('{"n": "7"}'),
    ],
)
def test_wrong_answers_are_repaired_once(connect: Connect, wrong: Answer) -> None:
    with serving(in_turn(wrong, GOOD)) as server:
        assert connect(server.url).answer([question()]) == [7]
    first, second = server.requests
    assert second["messages"][:2] == first["messages"]
    assert [message["role"] for message in second["messages"][2:]] == ["assistant", "user"]
    assert "That answer can't be used: " in second["messages"][3]["content"]


def test_wrong_answers_are_rejected_in_the_end(connect: Connect) -> None:
    with serving(in_turn(reply({"m": 7}))) as server:
        client = connect(server.url)
        results = client.answer([question()])
        assert results == [Failure("no usable answer, twice: it has no number n")]
        assert len(server.requests) == 2
        client.answer([question()])  # wrong answers are not kept
        assert len(server.requests) == 4


def test_cut_off_and_fenced_and_refused(connect: Connect) -> None:
    cut = reply('{"n": ', ended="length")
    with serving(in_turn(cut, reply('```json\n{"n": 5}\n```'))) as server:
        assert connect(server.url).answer([question()]) == [5]
    assert "cut off" in server.requests[1]["messages"][3]["content"]
    refusal = {"choices": [{"message": {"content": None, "refusal": "no"}}]}
    with serving(in_turn(Answer(refusal))) as server:
        results = connect(server.url).answer([question("other")])
    assert results == [Failure("the model refuses to answer")]


def test_answers_are_kept_by_content(connect: Connect) -> None:
    with serving(in_turn(GOOD)) as server:
        first, second = png(1), png(2)
        questions = [
            question("a", first),
            question("a", second),
            question("b", first),
            question("a"),
        ]
        assert connect(server.url).answer(questions) == [7] * 4
        assert len(server.requests) == 4
        again = connect(server.url, vlm_timeout=3, vlm_price_input=1)
        assert again.answer(questions) == [7] * 4
        assert len(server.requests) == 4
        assert again.new_counts() == {"answers from the cache": 4}
        assert again.new_counts() == {"answers from the cache": 0}
        connect(server.url, vlm_model="other").answer(questions[:1])
        connect(server.url, vlm_temperature=0.5).answer(questions[:1])
        assert len(server.requests) == 6


def test_damaged_cache_is_asked_again(connect: Connect, tmp_path: Path) -> None:
    with serving(in_turn(GOOD)) as server:
        connect(server.url).answer([question()])
        (kept,) = (tmp_path / "cache").rglob("*.json")
        for damage in ("", "[]", '{"answer": 3}', '{"answer": "{\\"m\\": 1}"}'):
            kept.write_text(damage)
            assert connect(server.url).answer([question()]) == [7]
    assert len(server.requests) == 5


def test_the_key_is_in_no_file(connect: Connect, tmp_path: Path) -> None:
    with serving(in_turn(GOOD)) as server:
        connect(server.url).answer([question()])
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET not in path.read_text()


def test_tokens_and_money_are_counted(connect: Connect) -> None:
    with serving(echo) as server:
        client = connect(server.url, vlm_price_input=2.5, vlm_price_output=10)
        client.answer(numbered(4))
        assert client.new_counts() == {
            "questions": 4,
            "tokens in": 400,
            "tokens out": 40,
            "cost": pytest.approx(0.0014),
        }


@pytest.mark.parametrize(
    ("budget", "done"),
    [
        ({"vlm_budget_tokens": 500}, 4),
        ({"vlm_budget_tokens": 50}, 1),
        ({"vlm_budget_cost": 0.001, "vlm_price_input": 1, "vlm_price_output": 5}, 6),
    ],
)
def test_budget_stops_and_keeps_what_is_done(
    connect: Connect, budget: dict[str, Any], done: int
) -> None:
    """110 tokens, or 0.00015, a question; the first one, of unknown cost, is asked alone."""
    with serving(echo) as server:
        with pytest.raises(BudgetError, match=r"The budget of .* is spent") as error:
            connect(server.url, vlm_concurrency=3, **budget).answer(numbered(20))
        assert len(server.requests) == done
        assert f"{done} question{'s' * (done != 1)}," in str(error.value)
        assert connect(server.url, vlm_concurrency=3).answer(numbered(20)) == [*range(20)]
        assert len(server.requests) == 20


def test_budget_needs_counts_and_prices(connect: Connect) -> None:
    with serving(in_turn(reply({"n": 7}, usage=None))) as server:
        assert connect(server.url).answer([question("x")]) == [7]
        with pytest.raises(BudgetError, match="doesn't report tokens"):
            connect(server.url, vlm_budget_tokens=1000).answer([question("y")])
    with pytest.raises(ConfigError, match="vlm_budget_cost: needs vlm_price_input"):
        connect("http://127.0.0.1", vlm_budget_cost=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vlm_url": None}, r"annotate\.vlm_url: missing"),
        ({"vlm_model": None}, r"annotate\.vlm_model: missing"),
        ({"vlm_url": f"https://me:{SECRET}@here/v1"}, "the key in the environment variable"),
        ({"vlm_url": f"https://here/v1?key={SECRET}"}, "the key in the environment variable"),
        ({"vlm_url": "file:///etc/passwd"}, r"expected http"),
    ],
)
def test_options_that_name_no_model(
    connect: Connect, options: dict[str, Any], message: str
) -> None:
    given = {"vlm_url": "http://127.0.0.1:1/v1"} | options
    with pytest.raises(ConfigError, match=message) as error:
        connect(given.pop("vlm_url"), **given)
    assert SECRET not in str(error.value)
