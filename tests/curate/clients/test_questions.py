"""Asking a model: answers that are wrong, kept, counted, and within a budget."""

from __future__ import annotations

from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from invdpo.curate.batching import Failure
from invdpo.curate.clients.budget import BudgetError
from invdpo.schemas import ConfigError
from tests.curate.clients.server import SECRET, Answer, in_turn, said, serving
from tests.curate.clients.vlm_questions import GOOD, Consult, echo, many, question


def test_question_goes_out_as_the_protocol_has_it(consultant: Consult) -> None:
    picture = b"\x89PNG and so on"
    with serving(in_turn(GOOD)) as server:
        assert consultant(server.url + "/").answer([question(picture=picture)]) == [7]
    (asked,) = server.asked
    assert server.paths == ["/v1/chat/completions"]
    assert server.keys == [f"Bearer {SECRET}"]
    system, user = asked["messages"]
    assert (system["role"], system["content"]) == ("system", "Count.")
    assert user["content"] == [
        {"type": "text", "text": "how many?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORyBhbmQgc28gb24="}},
    ]
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("m", 2048, 0.0)
    form = asked["response_format"]
    assert form["type"] == "json_schema"
    assert form["json_schema"] == {"name": "answer", "strict": True, "schema": {"type": "object"}}


def test_many_at_a_time_and_in_order(consultant: Consult) -> None:
    four = Barrier(4)

    def meet(asked: dict[str, Any], n: int) -> Answer:
        if n < 4:  # answered when all four are here
            four.wait(240)
        return echo(asked, n)

    with serving(meet) as server:
        assert consultant(server.url, vlm_concurrency=4).answer(many(12)) == [*range(12)]
    assert server.most_at_once == 4


@pytest.mark.parametrize(
    "wrong",
    [said('{"n": 7'), said({"m": 7}), said("seven"), said(""), said("[7]"), said('{"n": "7"}')],
)
def test_wrong_answers_are_repaired_once(consultant: Consult, wrong: Answer) -> None:
    with serving(in_turn(wrong, GOOD)) as server:
        assert consultant(server.url).answer([question()]) == [7]
    first, second = server.asked
    assert second["messages"][:2] == first["messages"]
    assert [message["role"] for message in second["messages"][2:]] == ["assistant", "user"]
    assert "That answer can't be used: " in second["messages"][3]["content"]


def test_wrong_answers_are_rejected_in_the_end(consultant: Consult) -> None:
    with serving(in_turn(said({"m": 7}))) as server:
        asker = consultant(server.url)
        found = asker.answer([question()])
        assert found == [Failure("no usable answer, twice: it has no number n")]
        assert len(server.asked) == 2
        asker.answer([question()])  # wrong answers are not kept
        assert len(server.asked) == 4


def test_cut_off_and_fenced_and_refused(consultant: Consult) -> None:
    cut = said('{"n": ', ended="length")
    with serving(in_turn(cut, said('```json\n{"n": 5}\n```'))) as server:
        assert consultant(server.url).answer([question()]) == [5]
    assert "cut off" in server.asked[1]["messages"][3]["content"]
    refusal = {"choices": [{"message": {"content": None, "refusal": "no"}}]}
    with serving(in_turn(Answer(refusal))) as server:
        found = consultant(server.url).answer([question("other")])
    assert found == [Failure("the model refuses to answer")]


def test_answers_are_kept_by_content(consultant: Consult) -> None:
    with serving(in_turn(GOOD)) as server:
        one, two = (b"\x89PNG" + name for name in (b"one", b"two"))
        asked = [question("a", one), question("a", two), question("b", one), question("a")]
        assert consultant(server.url).answer(asked) == [7] * 4
        assert len(server.asked) == 4
        again = consultant(server.url, vlm_timeout=3, vlm_price_input=1)
        assert again.answer(asked) == [7] * 4
        assert len(server.asked) == 4
        assert again.new_counts() == {"answers from the cache": 4}
        assert again.new_counts() == {"answers from the cache": 0}
        consultant(server.url, vlm_model="other").answer(asked[:1])
        consultant(server.url, vlm_temperature=0.5).answer(asked[:1])
        assert len(server.asked) == 6


def test_damaged_cache_is_asked_again(consultant: Consult, tmp_path: Path) -> None:
    with serving(in_turn(GOOD)) as server:
        consultant(server.url).answer([question()])
        (kept,) = (tmp_path / "cache").rglob("*.json")
        for damage in ("", "[]", '{"answer": 3}', '{"answer": "{\\"m\\": 1}"}'):
            kept.write_text(damage)
            assert consultant(server.url).answer([question()]) == [7]
    assert len(server.asked) == 5


def test_the_key_is_in_no_file(consultant: Consult, tmp_path: Path) -> None:
    with serving(in_turn(GOOD)) as server:
        consultant(server.url).answer([question()])
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET not in path.read_text()


def test_tokens_and_money_are_counted(consultant: Consult) -> None:
    with serving(echo) as server:
        asker = consultant(server.url, vlm_price_input=2.5, vlm_price_output=10)
        asker.answer(many(4))
        assert asker.new_counts() == {
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
    consultant: Consult, budget: dict[str, Any], done: int
) -> None:
    """110 tokens, or 0.00015, a question; the first one, of unknown cost, is asked alone."""
    with serving(echo) as server:
        with pytest.raises(BudgetError, match=r"The budget of .* is spent") as error:
            consultant(server.url, vlm_concurrency=3, **budget).answer(many(20))
        assert len(server.asked) == done
        assert f"{done} questions" in str(error.value)
        assert consultant(server.url, vlm_concurrency=3).answer(many(20)) == [*range(20)]
        assert len(server.asked) == 20


def test_budget_needs_counts_and_prices(consultant: Consult) -> None:
    with serving(in_turn(said({"n": 7}, usage=None))) as server:
        assert consultant(server.url).answer([question("x")]) == [7]
        with pytest.raises(BudgetError, match="doesn't tell tokens"):
            consultant(server.url, vlm_budget_tokens=1000).answer([question("y")])
    with pytest.raises(ConfigError, match="vlm_budget_cost: needs vlm_price_input"):
        consultant("http://127.0.0.1", vlm_budget_cost=1.0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"vlm_url": None}, r"annotate\.vlm_url: missing"),
        ({"vlm_model": None}, r"annotate\.vlm_model: missing"),
        ({"vlm_url": f"https://me:{SECRET}@here/v1"}, "the key in the environment variable"),
        ({"vlm_url": f"https://here/v1?key={SECRET}"}, "the key in the environment variable"),
        ({"vlm_url": "file:///etc/passwd"}, r"expected http"),
    ],
)
def test_options_that_name_no_model(
    consultant: Consult, options: dict[str, Any], told: str
) -> None:
    given = {"vlm_url": "http://127.0.0.1:1/v1"} | options
    with pytest.raises(ConfigError, match=told) as error:
        consultant(given.pop("vlm_url"), **given)
    assert SECRET not in str(error.value)
