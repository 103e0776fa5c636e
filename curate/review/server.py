"""Serves the review to this machine alone: on the loopback interface, under a secret address.

Every request must name this very host (so that no other site's page can reach it by a name that
points here) and carry the token in its path; nothing is loaded from anywhere else.
"""

from __future__ import annotations

import io
import json
import re
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from invdpo.curate.review.session import Session, Wrong
from invdpo.schemas import ConfigError, DataError, InvdpoError
from invdpo.schemas.io.images import decode

LARGEST = 10_000
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
KINDS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
}


class Refused(Exception):
    """An answer that is no success."""

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
            text = f"--port: {port} can't be used ({error.strerror}). Give another, or none."
            raise ConfigError(text) from None

    @property
    def url(self) -> str:
        """The address of the page, with the token in it."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    @property
    def hosts(self) -> tuple[str, str]:
        """How a browser on this machine names the server."""
        return f"127.0.0.1:{self.server_port}", f"localhost:{self.server_port}"

    def close_soon(self) -> None:
        """End `serve_forever`, from a request of it."""
        threading.Thread(target=self.shutdown, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "invdpo", ""
    timeout = 60
    server: ReviewServer

    def do_GET(self) -> None:
        """Pages, pictures, and what is known of a pair."""
        self._answer("GET")

    def do_POST(self) -> None:
        """Decisions."""
        self._answer("POST")

    def _answer(self, method: str) -> None:
        try:
            kind, body = self._found(method)
            self._send(200, kind, body)
        except Refused as error:
            self.close_connection = True
            self._send(error.status, "text/plain", str(error).encode())
        except InvdpoError as error:
            self._send(500, "text/plain", str(error).encode())

    def _found(self, method: str) -> tuple[str, bytes]:
        if self.headers.get("Host") not in self.server.hosts:
            raise Refused(403, "not for this host")
        _, token, *rest = self.path.split("?")[0].split("/", 2)
        if not secrets.compare_digest(token.encode(), self.server.token.encode()) or not rest:
            raise Refused(404, "not here; open the address that the command printed")
        if method == "GET" and rest[0] in STATIC:
            name, kind = STATIC[rest[0]]
            return f"{kind}; charset=utf-8", (files(__package__) / name).read_bytes()
        if method == "GET" and (found := re.fullmatch(r"image/(\d{1,9})/(left|right)", rest[0])):
            return _picture(self.server.session.picture(self._number(found[1]), found[2]))
        told = self._posted(rest[0]) if method == "POST" else self._asked(rest[0])
        return "application/json", json.dumps(told, ensure_ascii=False).encode()

    def _asked(self, path: str) -> Any:
        session = self.server.session
        if path == "state":
            return session.state()
        if found := re.fullmatch(r"pair/(\d{1,9})(/answer)?", path):
            number = self._number(found[1])
            return session.answer(number) if found[2] else session.pair(number)
        raise Refused(404, "no such page")

    def _posted(self, path: str) -> Any:
        body, session = self._body(), self.server.session
        if path == "undo":
            return session.undo()
        if path == "finish":
            self.server.close_soon()
            return session.state()
        if found := re.fullmatch(r"pair/(\d{1,9})", path):
            try:
                return session.decide(self._number(found[1]), body.get("choice"), body.get("note"))
            except Wrong as error:
                raise Refused(400, str(error)) from None
        raise Refused(404, "no such page")

    def _number(self, text: str) -> int:
        if int(text) >= len(self.server.session.pairs):
            raise Refused(404, "no such pair")
        return int(text)

    def _body(self) -> dict[str, Any]:
        """The JSON of a request that a page of ours sent."""
        origin = self.headers.get("Origin")
        if origin is not None and origin not in {f"http://{host}" for host in self.server.hosts}:
            raise Refused(403, "not for other sites")
        if self.headers.get("Content-Type") != "application/json":
            raise Refused(415, "expected JSON")
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LARGEST:
            raise Refused(413, "too long, or of unknown length")
        try:
            found = json.loads(self.rfile.read(int(length)))
        except ValueError:
            raise Refused(400, "not JSON") from None
        if not isinstance(found, dict):
            raise Refused(400, "expected a mapping")
        return found

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: addresses hold the token."""


def _picture(data: bytes) -> tuple[str, bytes]:
    """Kind and bytes of a picture; of a rare kind it is encoded anew. Raises `Refused`."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp", data
    for magic, kind in KINDS.items():
        if data.startswith(magic):
            return kind, data
    try:
        picture = decode(data)
    except DataError as error:
        raise Refused(404, str(error)) from None
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "image/png", buffer.getvalue()
