"""The scorer behind HTTP: a real server on loopback, well behaved and otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from invdpo.curate.batching import Failure
from invdpo.curate.clients import http
from invdpo.curate.clients.http import AnswerError, Endpoint, redact_url
from invdpo.curate.scorers import SCORERS, Candidate, Judged, Scorer
from invdpo.schemas import ConfigError
from invdpo.schemas.config.score import ScoreConfig
from tests.curate.scorers.judged_images import values
from tools.remote_scorer import serve

SECRET = "s3cret-k3y"
Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[str]:
    """Its address, while it serves."""
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Scripted(ThreadingHTTPServer):
    """Gives prepared answers one after another, the last one for ever; remembers what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.requests = list(answers), list[dict[str, Any]]()
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    def _reply(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server.requests.append({"key": self.headers.get("Authorization"), "body": body})
        answers = server.answers
        status, headers, content = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _reply

    def log_message(self, format: str, *args: object) -> None: ...


def good(*scores: dict[str, Any]) -> Answer:
    return 200, {}, json.dumps({"scores": scores}).encode()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses that would have been made."""
    made: list[float] = []
    real = Endpoint.__init__

    def patient(self: Endpoint, *args: Any, **more: Any) -> None:
        real(self, *args, **{**more, "sleep": made.append})

    monkeypatch.setattr(Endpoint, "__init__", patient)
    return made


def scorer(url: str, **more: Any) -> Any:
    return SCORERS["remote"](ScoreConfig(remote_url=url, **more))


@pytest.fixture(scope="module")
def candidates(pictures: list[bytes]) -> list[Candidate]:
    return [
        Candidate({"prompt": f"image {n}", "image": {"bytes": data}})
        for n, data in enumerate(pictures[:3])
    ]


class Length(Scorer):
    """A scorer that can't judge prompts that end in 1."""

    name, revision = "length", "4"
    needs: Sequence[str] = ("prompt", "image")

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged | Failure]:
        return [
            Failure("not this one")
            if candidate.prompt.endswith("1")
            else Judged(
                candidate.image.width + len(candidate.prompt) / 100,
                {"width": candidate.image.width},
            )
            for candidate in candidates
        ]


def test_scores_come_over_the_wire(candidates: list[Candidate]) -> None:
    with running(serve(Length(), 0)) as url:
        remote = scorer(url)
        assert remote.revision == "length@4"
        first, second, third = remote(candidates)
    assert first == third == Judged(40.07, {"width": 40.0})
    assert second == Failure("not this one")


def test_a_scorer_of_ours_says_the_same_over_there(candidates: list[Candidate]) -> None:
    ours = SCORERS["clip"](ScoreConfig(device="cpu"))
    with running(serve(ours, 0)) as url:
        assert values(scorer(url)(candidates)) == pytest.approx(values(ours(candidates)), abs=1e-6)


def test_busy_servers_are_asked_again(candidates: list[Candidate], waits: list[float]) -> None:
    server = Scripted(
        (429, {"Retry-After": "7"}, b""), (503, {}, b"<html>"), good({"id": "0", "score": 2})
    )
    with running(server) as url:
        assert values(scorer(url)(candidates[:1])) == [2.0]
    assert waits[0] == 7
    assert 1.5 <= waits[1] <= 2.5


def test_the_number_of_tries_is_limited(candidates: list[Candidate], waits: list[float]) -> None:
    with running(Scripted((500, {}, b""))) as url, pytest.raises(AnswerError, match="5 times in a"):
        scorer(url)(candidates)
    assert len(waits) == 4


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, {}, b"<!doctype html>"), "not JSON (HTML)"),
        ((200, {}, b"[1, 2]"), "no list `scores`"),
        (good({"id": "9", "score": 1}), "answers for candidates that were not sent"),
        (
            good({"id": "0", "score": 1}, {"id": "0", "score": 2}),
            "answers for candidates that were not sent",
        ),
        ((401, {}, b""), "status 401"),
        ((302, {"Location": "http://elsewhere.invalid/"}, b""), "redirects are not followed"),
    ],
)
def test_bad_answers_are_reported(
    candidates: list[Candidate], answer: Answer, message: str
) -> None:
    with running(Scripted(answer)) as url, pytest.raises(AnswerError) as error:
        scorer(url)(candidates)
    assert message in str(error.value)


@pytest.mark.parametrize("score", [None, "5", True, "NaN"])
def test_what_is_no_number_is_no_score(candidates: list[Candidate], score: Any) -> None:
    text = json.dumps({"scores": [{"id": "0", "score": score}]}).replace('"NaN"', "NaN")
    with running(Scripted((200, {}, text.encode()))) as url:
        judged = scorer(url)(candidates[:2])
    assert judged == [
        Failure("the server gave no finite number"),
        Failure("the server gave no score"),
    ]


def test_huge_answers_are_not_read(
    candidates: list[Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_BYTES", 1000)
    answer: Answer = (200, {}, b" " * 100_000)
    with (
        running(Scripted(answer)) as url,
        pytest.raises(AnswerError, match="longer than 1,000 bytes"),
    ):
        scorer(url)(candidates)


def test_key_is_sent_and_never_shown(
    candidates: list[Candidate], monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    monkeypatch.setenv("INVDPO_MY_KEY", SECRET)
    server = Scripted((403, {}, SECRET.encode()))
    with running(server) as url:
        remote = scorer(f"{url}/score?key={SECRET}", remote_key_variable="INVDPO_MY_KEY")
        with pytest.raises(AnswerError) as error:
            remote(candidates)
    assert SECRET not in str(error.value)
    assert "/score: status 403" in str(error.value)
    assert server.requests[0]["key"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("url", [f"http://me:{SECRET}@here", f"https://here/?key={SECRET}"])
def test_no_key_may_stand_in_an_address(url: str) -> None:
    with pytest.raises(ConfigError, match="in the environment variable") as error:
        _ = scorer(url).revision
    assert SECRET not in str(error.value)
    assert SECRET not in str(ScoreConfig(remote_url=url).fingerprint())


def test_server_that_is_not_there(candidates: list[Candidate], waits: list[float]) -> None:
    with running(Scripted(good())) as url:
        pass
    with pytest.raises(AnswerError, match=r"no connection \(ConnectionError\), 5 times in a row"):
        scorer(url)(candidates)


def test_server_that_never_answers(candidates: list[Candidate], waits: list[float]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(AnswerError, match=r"no answer within 0\.05 s, 5 times"):
            scorer(url, remote_timeout=0.05)(candidates)


@pytest.mark.parametrize("url", [None, "file:///etc/passwd", "localhost:80"])
def test_addresses_that_are_none(url: str | None) -> None:
    with pytest.raises(ConfigError, match=r"score\.remote_url"):
        _ = scorer(url).revision  # type: ignore[arg-type]


def test_redact_url() -> None:
    assert redact_url("https://me:pw@a.b:81/c/d?key=1#x") == "https://a.b:81/c/d"
