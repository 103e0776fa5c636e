"""A model's server on loopback whose behaviour a test defines, good or bad."""

from __future__ import annotations

import json
import math
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

SECRET = "s3cret-k3y-0123456789"


class Answer:
    """An HTTP answer; `slowly`: seconds between its bytes, `cut`: it ends before it is complete."""

    def __init__(
        self,
        body: bytes | str | dict[str, Any] = b"",
        status: int = 200,
        headers: dict[str, str] | None = None,
        *,
        slowly: float | None = None,
        cut: bool = False,
        wait: float = 0.0,
        endless: bool = False,
    ) -> None:
        text = json.dumps(body) if isinstance(body, dict) else body
        self.body = text.encode() if isinstance(text, str) else text
        self.status, self.headers = status, headers or {}
        self.slowly, self.cut, self.wait, self.endless = slowly, cut, wait, endless


Behaviour = Callable[[dict[str, Any], int], Answer]
"""From the JSON of a request and the number of requests before it to the answer."""


class Server(ThreadingHTTPServer):
    """Records requests, their keys and their paths."""

    daemon_threads = True

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.paths: list[str] = []
        self.most_open_requests = self.open_requests = 0
        self.lock, self.closing = Lock(), Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    def _reply(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with server.lock:
            number = len(server.requests)
            server.requests.append(json.loads(body) if body else {})
            server.keys.append(self.headers.get("Authorization"))
            server.paths.append(self.path)
            server.open_requests += 1
            server.most_open_requests = max(server.most_open_requests, server.open_requests)
        try:
            answer = server.behaviour(server.requests[number], number)
            server.closing.wait(answer.wait)
            self._send(answer, server.closing)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with server.lock:
                server.open_requests -= 1

    def _send(self, answer: Answer, closing: Event) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if not answer.endless:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if answer.endless:
            while not closing.is_set():
                self.wfile.write(b" " * 65_536)
        elif answer.slowly is not None:
            for byte in answer.body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                closing.wait(answer.slowly)
        else:
            self.wfile.write(answer.body[: len(answer.body) // 2] if answer.cut else answer.body)
        if answer.cut:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    do_GET = do_POST = _reply

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[Server]:
    """A server at work."""
    server = Server(behaviour)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()


def in_turn(*answers: Answer | Behaviour) -> Behaviour:
    """Gives the answers one after another, and then always the last one."""

    def behaviour(request: dict[str, Any], number: int) -> Answer:
        answer = answers[min(number, len(answers) - 1)]
        return answer if isinstance(answer, Answer) else answer(request, number)

    return behaviour


def reply(
    text: str | dict[str, Any],
    *,
    usage: tuple[int, int] | None = (100, 10),
    ended: str = "stop",
    **more: Any,
) -> Answer:
    """The answer of an OpenAI-compatible server with the text of a model."""
    content = json.dumps(text) if isinstance(text, dict) else text
    body: dict[str, Any] = {
        "choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": ended}]
    }
    if usage is not None:
        body["usage"] = {"prompt_tokens": usage[0], "completion_tokens": usage[1]}
    return Answer(body, **more)


def yes_no_reply(*tokens: tuple[str, float], logprobs: bool = True) -> Answer:
    """An answer of one token, the first of `tokens`, with the probabilities of all of them."""
    listed = [{"token": token, "logprob": math.log(chance)} for token, chance in tokens if chance]
    choice: dict[str, Any] = {"message": {"content": tokens[0][0]}, "finish_reason": "length"}
    if logprobs:
        choice["logprobs"] = {"content": [{"token": tokens[0][0], "top_logprobs": listed}]}
    return Answer({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 1}})


def question_text(request: dict[str, Any]) -> str:
    """The text of the question in a request."""
    content = request["messages"][1]["content"]
    return str(content if isinstance(content, str) else content[0]["text"])


def question_id(request: dict[str, Any]) -> str:
    """The id that the answer to a request must repeat."""
    match = re.search(r'is "([0-9a-f]{12})"', question_text(request))
    return match[1] if match else ""


def graph_reply(request: dict[str, Any], *labels: str, **more: Any) -> dict[str, Any]:
    """A correct answer: objects with these labels."""
    items = [{"item_id": n, "label": label, "attributes": []} for n, label in enumerate(labels)]
    return {"id": question_id(request), "items": items, "relations": []} | more
