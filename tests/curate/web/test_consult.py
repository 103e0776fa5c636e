"""Asking a model behind a real server on loopback that misbehaves in every way we know of."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from invdpo.curate.attempts import Failure
from invdpo.curate.web import ask
from invdpo.curate.web.ask import AnswerError
from invdpo.curate.web.consult import PATIENCE, Consultant, FaultError, Question
from invdpo.curate.web.crowd import Crowd
from invdpo.curate.web.ledger import BudgetError
from invdpo.schemas import ConfigError
from invdpo.schemas.config import AnnotateConfig
from tests.curate.web.server import SECRET, Answer, in_turn, said, serving, words_of

Consult = Callable[..., Any]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses that would have been made."""
    made: list[float] = []
    monkeypatch.setattr(Crowd, "sleep", lambda _, seconds: made.append(seconds))
    return made


@pytest.fixture
def consultant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Consult:
    monkeypatch.setenv("INVDPO_VLM_KEY", SECRET)

    def make(url: str, **more: Any) -> Consultant:
        given = {"vlm_model": "m", "vlm_cache": str(tmp_path / "cache"), "vlm_concurrency": 1}
        return Consultant(AnnotateConfig(vlm_url=url, **{**given, **more}), "annotate")

    return make


def read(found: Any) -> int:
    if not isinstance(found, dict) or not isinstance(found.get("n"), int):
        raise FaultError("it has no number n")
    return int(found["n"])


def question(text: str = "how many?", picture: bytes | None = None) -> Question[int]:
    return Question("Count.", text, {"type": "object"}, read, picture)


def many(count: int) -> list[Question[int]]:
    return [question(f"number {n}") for n in range(count)]


def echo(asked: dict[str, Any], _: int) -> Answer:
    """The number in the question."""
    return said({"n": int(words_of(asked).split()[-1])})


GOOD = said({"n": 7})


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


def test_passwords_of_this_machine_stay_here(
    consultant: Consult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serving(in_turn(GOOD)) as server:
        consultant(server.url).answer([question()])
        monkeypatch.delenv("INVDPO_VLM_KEY")
        consultant(server.url).answer([question("another")])
    assert server.keys == [f"Bearer {SECRET}", None]


def test_many_at_a_time_and_in_order(consultant: Consult) -> None:
    def slow(asked: dict[str, Any], n: int) -> Answer:
        answer = echo(asked, n)
        answer.wait = 0.05 if n < 4 else 0.0
        return answer

    with serving(slow) as server:
        assert consultant(server.url, vlm_concurrency=4).answer(many(12)) == [*range(12)]
    assert 2 <= server.most_at_once <= 4


def test_busy_servers_are_asked_again(consultant: Consult, waits: list[float]) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    with serving(in_turn(
        Answer(status=429, headers={"Retry-After": "7"}), Answer(status=429),
        Answer(status=503, headers={"Retry-After": soon}), Answer("<html>", status=500), GOOD,
    )) as server:  # fmt: skip
        assert consultant(server.url).answer([question()]) == [7]
    assert waits[0] == 7
    assert 1.5 <= waits[1] <= 2.5
    assert 25 <= waits[2] <= 30
    assert 6 <= waits[3] <= 10


@pytest.mark.parametrize(
    ("answer", "said_of_it"),
    [
        (Answer(status=429), "status 429, 5 times in a row"),
        (Answer("<!doctype html>"), r"not JSON \(HTML\)"),
        (Answer({"error": {"message": "no such  model"}}, 404), r"404 \(no such model\)"),
        (Answer({"error": f"bad key {SECRET[:9]}"}, 400), r"status 400\."),
        (Answer({"error": {"message": "bad key"}}, 401), r"status 401\."),
        (Answer(status=302, headers={"Location": "http://elsewhere.invalid/"}), "not followed"),
        (Answer({"choices": []}), r"no `choices` with a message in the answer \(found: choices\)"),
        (Answer('{"choices": [{"mess'), "not JSON"),
        (Answer({"choices": [{}]}, cut=True), r"no connection \(\w+\), 5 times"),
    ],
)
def test_useless_servers_are_told(
    consultant: Consult, waits: list[float], answer: Answer, said_of_it: str,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    with serving(in_turn(answer)) as server, pytest.raises(AnswerError, match=said_of_it) as error:
        consultant(server.url).answer(many(3))
    assert str(error.value).startswith(f"{server.url}/chat/completions: ")
    assert SECRET[:6] not in str(error.value)
    assert SECRET not in caplog.text


def test_server_that_never_answers(consultant: Consult, waits: list[float]) -> None:
    told = r"no answer within 0\.05 s, 2 times in a row"
    silent = in_turn(Answer(wait=60))
    with serving(silent) as server, pytest.raises(AnswerError, match=told):
        consultant(server.url, vlm_timeout=0.05, vlm_tries=2).answer([question()])


def test_server_that_drips(consultant: Consult, waits: list[float]) -> None:
    """Each byte comes in time, the whole never would."""
    slow = in_turn(said({"n": 7}, slowly=0.02))
    told = r"no whole answer within 0\.5 s, 1 times in a row"
    with serving(slow) as server, pytest.raises(AnswerError, match=told):
        consultant(server.url, vlm_timeout=0.1, vlm_tries=1).answer([question()])


def test_slow_server_is_waited_for(consultant: Consult) -> None:
    with serving(in_turn(said({"n": 7}, wait=0.1))) as server:
        assert consultant(server.url).answer([question()]) == [7]


def test_endless_answers_are_not_read(
    consultant: Consult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "LARGEST", 200_000)
    endless = in_turn(Answer(endless=True))
    with serving(endless) as server, pytest.raises(AnswerError, match="over 200,000 bytes"):
        consultant(server.url).answer([question()])


def test_no_server(consultant: Consult, waits: list[float]) -> None:
    with serving(in_turn(GOOD)) as server:
        pass
    with pytest.raises(AnswerError, match=r"no connection \(ConnectionError\), 5 times"):
        consultant(server.url).answer([question()])


def test_servers_that_know_no_schema(consultant: Consult) -> None:
    """They are asked for JSON, then for an answer of any form; and from then on for that."""
    refuse = Answer({"error": {"message": "unknown response_format"}}, 400)
    with serving(in_turn(refuse, refuse, GOOD, GOOD)) as server:
        assert consultant(server.url).answer(many(2)) == [7, 7]
    forms = [asked.get("response_format", {}).get("type") for asked in server.asked]
    assert forms == ["json_schema", "json_object", None, None]


def test_newer_models_call_the_limit_otherwise(consultant: Consult) -> None:
    text = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    with serving(in_turn(Answer({"error": {"message": text}}, 400), GOOD)) as server:
        assert consultant(server.url, vlm_temperature=None).answer(many(2)) == [7, 7]
    assert [asked.get("max_completion_tokens") for asked in server.asked] == [None, 2048, 2048]
    assert all("response_format" in asked for asked in server.asked)
    assert "temperature" not in server.asked[0]


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
        assert again.news() == {"answers from the cache": 4}
        assert again.news() == {"answers from the cache": 0}
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
        assert asker.news() == {
            "questions": 4, "tokens in": 400, "tokens out": 40, "cost": pytest.approx(0.0014),
        }  # fmt: skip


@pytest.mark.parametrize(
    ("budget", "done"),
    [({"vlm_budget_tokens": 500}, 4), ({"vlm_budget_tokens": 50}, 1),
     ({"vlm_budget_cost": 0.001, "vlm_price_input": 1, "vlm_price_output": 5}, 6)],
)  # fmt: skip
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


def test_one_bad_question_costs_itself(consultant: Consult, waits: list[float]) -> None:
    """Where others are answered, it is not the server."""

    def picky(asked: dict[str, Any], n: int) -> Answer:
        if words_of(asked) == "number 2":
            return Answer({"error": {"message": "picture too odd"}}, 400)
        return Answer(status=500) if words_of(asked) == "number 3" else echo(asked, n)

    with serving(picky) as server:
        found = consultant(server.url).answer(many(5))
    assert [found[0], found[1], found[4]] == [0, 1, 4]
    assert "status 400 (picture too odd)" in found[2].reason
    assert "status 500, 5 times in a row" in found[3].reason


def test_server_that_breaks_down_rejects_nobody(consultant: Consult, waits: list[float]) -> None:
    def dying(asked: dict[str, Any], n: int) -> Answer:
        return echo(asked, n) if n < 2 else Answer(status=500)

    with serving(dying) as server, pytest.raises(AnswerError, match="500, 5 times in a row"):
        consultant(server.url).answer(many(PATIENCE + 4))


def test_wrong_key_stops_at_once(consultant: Consult) -> None:
    revoked = in_turn(GOOD, Answer(status=401))
    with serving(revoked) as server, pytest.raises(AnswerError, match="status 401"):
        consultant(server.url).answer(many(20))
    assert len(server.asked) == 2


def test_interruption_does_not_wait_for_the_server(
    consultant: Consult,
) -> None:
    import os
    import signal

    def behave(asked: dict[str, Any], n: int) -> Answer:
        os.kill(os.getpid(), signal.SIGINT)
        return Answer(wait=30)

    begin = time.monotonic()
    with serving(behave) as server, pytest.raises(KeyboardInterrupt):
        consultant(server.url).answer([question()])
    assert time.monotonic() - begin < 20


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
