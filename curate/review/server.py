"""Serves the review to this machine alone: on the loopback interface, under a secret address.

Every request must name this host, so that no page of another site can reach it by a name that
points here, and have the token in its path; the page loads nothing from anywhere else.
"""

from __future__ import annotations

import json
import re
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from invdpo.curate.images import for_viewers
from invdpo.curate.review.session import InvalidDecision, Session
from invdpo.schemas import ConfigError, DataError, InvdpoError
from invdpo.schemas.io.documents import as_written, read_json

MAX_BODY = 10_000
"""Bytes of a request that are read."""
STATIC = {
    "": ("page.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class RequestError(Exception):
    """A request that gets no answer but a status and a text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ReviewServer(ThreadingHTTPServer):
    """Answers for one session until it is closed. Raises `ConfigError` for a port that is taken."""

    daemon_threads = True

    def __init__(self, session: Session, port: int = 0) -> None:
        self.session = session
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            text = (
                f"--port: {port} can't be used ({error.strerror}). Give another port, or omit "
                "the option."
            )
            raise ConfigError(text) from None

    @property
    def url(self) -> str:
        """The address of the page, with the token in it."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    @property
    def hosts(self) -> tuple[str, str]:
        """The names of the server in a browser on this machine."""
        return f"127.0.0.1:{self.server_port}", f"localhost:{self.server_port}"

    def close_soon(self) -> None:
        """End `serve_forever` from within a request."""
        threading.Thread(target=self.shutdown, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that disconnects in the middle of an answer is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "invdpo", ""
    timeout = 60
    server: ReviewServer

    def do_GET(self) -> None:
        """Files of the page, images, and what is known of a pair."""
        self._answer("GET")

    def do_POST(self) -> None:
        """Decisions."""
        self._answer("POST")

    def _answer(self, method: str) -> None:
        try:
            with as_written(self.server.session.name):
                content_type, body = self._route(method)
            self._send(200, content_type, body)
        except RequestError as error:
            self.close_connection = True
            self._send(error.status, "text/plain", str(error).encode())
        except InvdpoError as error:
            self._send(500, "text/plain", str(error).encode())

    def _route(self, method: str) -> tuple[str, bytes]:
        if self.headers.get("Host") not in self.server.hosts:
            raise RequestError(403, "not for this host")
        token, *rest = self.path.split("?")[0].split("/", 2)[1:] or [""]
        if not secrets.compare_digest(token.encode(), self.server.token.encode()) or not rest:
            raise RequestError(404, "not found; open the URL that the command printed")
        if method == "GET" and rest[0] in STATIC:
            name, content_type = STATIC[rest[0]]
            return f"{content_type}; charset=utf-8", (files(__package__) / name).read_bytes()
        if method == "GET" and (match := re.fullmatch(r"image/(\d{1,9})/(left|right)", rest[0])):
            return _picture(self.server.session.picture(self._number(match[1]), match[2]))
        answer = self._post(rest[0]) if method == "POST" else self._get(rest[0])
        return "application/json", json.dumps(answer, ensure_ascii=False).encode()

    def _get(self, path: str) -> Any:
        session = self.server.session
        if path == "state":
            return session.state()
        if match := re.fullmatch(r"pair/(\d{1,9})(/answer)?", path):
            number = self._number(match[1])
            return session.answer(number) if match[2] else session.pair(number)
        raise RequestError(404, "no such page")

    def _post(self, path: str) -> Any:
        body, session = self._body(), self.server.session
        if path == "undo":
            return session.undo()
        if path == "finish":
            self.server.close_soon()
            return session.state()
        if match := re.fullmatch(r"pair/(\d{1,9})", path):
            try:
                return session.decide(self._number(match[1]), body.get("choice"), body.get("note"))
            except InvalidDecision as error:
                raise RequestError(400, str(error)) from None
        raise RequestError(404, "no such page")

    def _number(self, text: str) -> int:
        if int(text) >= len(self.server.session.pairs):
            raise RequestError(404, "no such pair")
        return int(text)

    def _body(self) -> dict[str, Any]:
        """The JSON of a request that a page of ours sent."""
        origin = self.headers.get("Origin")
        if origin is not None and origin not in {f"http://{host}" for host in self.server.hosts}:
            raise RequestError(403, "not for other sites")
        if self.headers.get("Content-Type") != "application/json":
            raise RequestError(415, "expected JSON")
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > MAX_BODY:
            raise RequestError(413, "too long, or of unknown length")
        try:
            return read_json(self.rfile.read(int(length)), "the request", dict, halves=True)
        except DataError as error:
            raise RequestError(400, str(error)) from None

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: addresses contain the token."""


def _picture(data: bytes) -> tuple[str, bytes]:
    """Content type and bytes, as they are trained on. Raises `RequestError`."""
    try:
        shown = for_viewers(data)
    except DataError as error:
        raise RequestError(404, str(error)) from None
    return f"image/{shown.kind}", shown.content
