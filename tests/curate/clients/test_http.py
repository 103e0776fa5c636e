"""A client of a real server on loopback that misbehaves in every way we know of."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import format_datetime
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from invdpo.curate.clients import http
from invdpo.curate.clients.http import AnswerError
from invdpo.curate.clients.questions import MAX_FAILURES_IN_A_ROW
from invdpo.schemas import ConfigError
from tests.curate.clients.server import SECRET, Answer, in_turn, question_text, reply, serving
from tests.curate.clients.vlm_questions import GOOD, Connect, echo, numbered, question


def test_passwords_of_this_machine_stay_here(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with serving(in_turn(GOOD)) as server:
        connect(server.url).answer([question()])
        monkeypatch.delenv("INVDPO_VLM_KEY")
        connect(server.url).answer([question("another")])
    assert server.keys == [f"Bearer {SECRET}", None]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1"])
def test_this_machine_is_asked_without_a_proxy(
    connect: Connect, waits: list[float], monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """A proxy would be told images and key, and another machine's loopback is not this one's."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(in_turn(GOOD)) as server, serving(in_turn(GOOD)) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
            monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{proxy.server_port}")
        url = f"http://{host}:{server.server_port}/v1"
        assert connect(url).answer([question()]) == [7]
        assert (len(server.requests), proxy.requests) == (1, [])
        connect("http://model.invalid/v1").answer([question("another")])
        assert len(proxy.requests) == 1


class Noon(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls(2030, 1, 1, 12, tzinfo=tz)


@pytest.mark.parametrize("variable", ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "invdpo_key"])
def test_keys_of_something_else_are_not_sent(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, SECRET)
    with serving(in_turn(GOOD)) as server:
        with pytest.raises(ConfigError, match="begin with INVDPO_"):
            connect(server.url, vlm_key_variable=variable).answer([question()])
        assert server.requests == []


def test_busy_servers_are_asked_again(
    connect: Connect, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "datetime", Noon)
    soon = format_datetime(Noon.now(UTC) + timedelta(seconds=30), usegmt=True)
    with serving(
        in_turn(
            Answer(status=429, headers={"Retry-After": "7"}),
            Answer(status=429),
            Answer(status=503, headers={"Retry-After": soon}),
            Answer("<html>", status=500),
            GOOD,
        )
    ) as server:
        assert connect(server.url).answer([question()]) == [7]
    assert waits[0] == 7
    assert 1.5 <= waits[1] <= 2.5
    assert waits[2] == 30
    assert 6 <= waits[3] <= 10


@pytest.mark.parametrize(
    ("answer", "message"),
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
def test_useless_servers_are_reported(
    connect: Connect,
    waits: list[float],
    answer: Answer,
    message: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(in_turn(answer)) as server, pytest.raises(AnswerError, match=message) as error:
        connect(server.url).answer(numbered(3))
    assert str(error.value).startswith(f"{server.url}/chat/completions: ")
    assert SECRET[:6] not in str(error.value)
    assert SECRET not in caplog.text


def test_server_that_never_answers(connect: Connect, waits: list[float]) -> None:
    message = r"no answer within 0\.05 s, 2 times in a row"
    silent = in_turn(Answer(wait=60))
    with serving(silent) as server, pytest.raises(AnswerError, match=message):
        connect(server.url, vlm_timeout=0.05, vlm_tries=2).answer([question()])


def test_server_that_drips(
    connect: Connect, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time, the whole never would."""
    minutes = count(0, 60)  # at every look at the clock one is over
    monkeypatch.setattr(http, "time", SimpleNamespace(monotonic=lambda: next(minutes)))
    slow = in_turn(Answer(" " * 1_000_000, slowly=0.02))
    message = r"no complete answer within 300 s, 1 times in a row"
    with serving(slow) as server, pytest.raises(AnswerError, match=message):
        connect(server.url, vlm_timeout=60, vlm_tries=1).answer([question()])


def test_slow_server_is_waited_for(connect: Connect) -> None:
    with serving(in_turn(reply({"n": 7}, wait=0.1))) as server:
        assert connect(server.url).answer([question()]) == [7]


def test_endless_answers_are_not_read(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BYTES", 200_000)
    endless = in_turn(Answer(endless=True))
    with serving(endless) as server, pytest.raises(AnswerError, match="longer than 200,000 bytes"):
        connect(server.url).answer([question()])


def test_no_server(connect: Connect, waits: list[float]) -> None:
    with serving(in_turn(GOOD)) as server:
        pass
    with pytest.raises(AnswerError, match=r"no connection \(ConnectionError\), 5 times"):
        connect(server.url).answer([question()])


def test_servers_that_know_no_schema(connect: Connect) -> None:
    """They are asked for JSON, then for an answer of any form; and from then on for that."""
    refuse = Answer({"error": {"message": "unknown response_format"}}, 400)
    with serving(in_turn(refuse, refuse, GOOD, GOOD)) as server:
        assert connect(server.url).answer(numbered(2)) == [7, 7]
    forms = [request.get("response_format", {}).get("type") for request in server.requests]
    assert forms == ["json_schema", "json_object", None, None]


def test_newer_models_call_the_limit_otherwise(connect: Connect) -> None:
    text = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    with serving(in_turn(Answer({"error": {"message": text}}, 400), GOOD)) as server:
        assert connect(server.url, vlm_temperature=None).answer(numbered(2)) == [7, 7]
    assert [request.get("max_completion_tokens") for request in server.requests] == [
        None,
        2048,
        2048,
    ]
    assert all("response_format" in request for request in server.requests)
    assert "temperature" not in server.requests[0]


def test_one_bad_question_costs_only_itself(connect: Connect, waits: list[float]) -> None:
    """Where others are answered, it is not the server."""

    def picky(request: dict[str, Any], n: int) -> Answer:
        if question_text(request) == "number 2":
            return Answer({"error": {"message": "image too odd"}}, 400)
        return Answer(status=500) if question_text(request) == "number 3" else echo(request, n)

    with serving(picky) as server:
        results = connect(server.url).answer(numbered(5))
    assert [results[0], results[1], results[4]] == [0, 1, 4]
    assert "status 400 (image too odd)" in results[2].reason
    assert "status 500, 5 times in a row" in results[3].reason


def test_server_that_breaks_down_rejects_nobody(connect: Connect, waits: list[float]) -> None:
    def dying(request: dict[str, Any], n: int) -> Answer:
        return echo(request, n) if n < 2 else Answer(status=500)

    with serving(dying) as server, pytest.raises(AnswerError, match="500, 5 times in a row"):
        connect(server.url).answer(numbered(MAX_FAILURES_IN_A_ROW + 4))


def test_wrong_key_stops_at_once(connect: Connect) -> None:
    revoked = in_turn(GOOD, Answer(status=401))
    with serving(revoked) as server, pytest.raises(AnswerError, match="status 401"):
        connect(server.url).answer(numbered(20))
    assert len(server.requests) == 2


def test_interruption_does_not_wait_for_the_server(
    connect: Connect,
) -> None:
    import os
    import signal

    def behave(request: dict[str, Any], n: int) -> Answer:
        os.kill(os.getpid(), signal.SIGINT)
        return Answer(wait=60)

    # jobs in the background of a shell are begun with this signal ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with serving(behave) as server:
            with pytest.raises(KeyboardInterrupt):
                connect(server.url).answer([question()])
            assert server.open_requests == 1, "the server has not answered yet"
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("header", "seconds"), [("1.5", 1.5), ("-3", 0.0), ("soon", None), ("", None), (None, None)]
)
def test_waiting_times_that_servers_ask_for(header: str | None, seconds: float | None) -> None:
    assert http._retry_after(header) == seconds


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"<html>no</html>", ""),
        (b'{"error": {"message": "too  many\\nimages"}}', "too many images"),
        (b'{"detail": "a\\u001b[31mb"}', "a?[31mb"),
        (b"[1, 2]", ""),
    ],
)
def test_the_reason_that_a_server_gives(body: bytes, text: str) -> None:
    assert http._error_text(body) == text


def test_a_key_that_no_header_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVDPO_ODD_KEY", "a\nb")
    endpoint = SimpleNamespace(key_variable="INVDPO_ODD_KEY")
    with pytest.raises(
        ConfigError, match="INVDPO_ODD_KEY: the key contains invalid characters"
    ) as caught:
        http.Endpoint._key(endpoint)  # type: ignore[arg-type]
    assert "a\nb" not in str(caught.value)
