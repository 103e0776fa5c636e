"""The HTTP of the loopback Hub: routes, who may ask them, and answers on the wire."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar, Literal, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub_repos import Repo

TOKEN, READER, STRANGER = "hf_writerwriterwriter", "hf_readerreaderreader", "hf_strangerstranger"
"""Tokens of `alice`, who is in `lab`, to write and only to read; and one of `mallory`."""
User = tuple[str, str, tuple[str, ...]]
USERS: dict[str, User] = {
    TOKEN: ("alice", "write", ("lab",)),
    READER: ("alice", "read", ("lab",)),
    STRANGER: ("mallory", "write", ()),
}
NOBODY: User = ("", "none", ())

API = r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)"
GIT = r"/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+)"
ROUTES = {
    "whoami": ("GET", r"/api/whoami-v2"),
    "validate-yaml": ("POST", r"/api/validate-yaml"),
    "create": ("POST", r"/api/repos/create"),
    "preupload": ("POST", rf"{API}/preupload/(?P<revision>[^/]+)"),
    "commit": ("POST", rf"{API}/commit/(?P<revision>[^/]+)"),
    "branch": ("POST", rf"{API}/branch/(?P<revision>[^/]+)"),
    "merge": ("POST", rf"{API}/discussions/(?P<number>\d+)/merge"),
    "paths-info": ("POST", rf"{API}/paths-info/(?P<revision>[^/]+)"),
    "tree": ("GET", rf"{API}/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?"),
    "info": ("GET", rf"{API}(?:/revision/(?P<revision>[^/]+))?"),
    "lfs-batch": ("POST", rf"{GIT}\.git/info/lfs/objects/batch"),
    "lfs-verify": ("POST", r"/lfs/verify"),
    "lfs-put": ("PUT", r"/lfs/(?P<oid>\w+)"),
    "lfs-get": ("GET", r"/lfs/(?P<oid>\w+)"),
    "resolve": ("GET", rf"{GIT}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"),
}
WRITING = {"preupload", "commit", "branch", "lfs-batch", "merge"}
OPEN = {"validate-yaml", "lfs-put", "lfs-get", "lfs-verify"}
"""Routes that ask for no token: the real ones are signed, or public."""


class Refused(Exception):
    """An answer that is no success; `code` is the Hub's name for it."""

    def __init__(self, status: int, text: str, code: str = "", body: Any = None) -> None:
        super().__init__(text)
        self.status, self.code = status, code
        self.body = {"error": text} if body is None else body


@dataclass(frozen=True)
class Fault:
    """What goes wrong at the `at`-th request of a route, and at the `times - 1` after it."""

    route: str
    how: Literal["status", "cut", "garble", "halve"] = "status"
    """Answer `status`; hang up in the middle of what comes; keep, or send, other bytes than came;
    hang up in the middle of the answer."""
    status: int = 500
    text: str = "injected"
    at: int = 1
    times: int = 1


@dataclass(frozen=True)
class Answer:
    """A success: JSON, or bytes; or where to look instead."""

    body: Any = None
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class Hub(Protocol):
    """What the wire needs of the server."""

    leaks: list[str]

    def repo(self, kind: str, name: str) -> Repo | None: ...
    def fault(self, route: str) -> Fault | None: ...
    def answer(self, asked: Asked) -> Answer: ...


@dataclass(frozen=True)
class Asked:
    """One request: its route, the parts of its path, its query, body and user."""

    hub: Hub
    route: str
    parts: dict[str, str]
    query: dict[str, list[str]]
    body: bytes
    user: User
    garbled: bool = False

    def json(self) -> Any:
        return json.loads(self.body)

    def repo(self) -> Repo:
        """The repository asked for, if it is there and this user may see it."""
        kind = "datasets" if self.parts["kind"].startswith("datasets") else "models"
        found = self.hub.repo(kind, self.parts["name"])
        if found is None or (found.private and not self.owns(found.name.split("/")[0])):
            raise Refused(404 if self.user[0] else 401, "Repository not found", "RepoNotFound")
        if self.route in WRITING and "create_pr" not in self.query:
            self.must_write(found.name.split("/")[0])
        return found

    def owns(self, owner: str) -> bool:
        return owner in (self.user[0], *self.user[2])

    def must_write(self, owner: str) -> None:
        """Refuse one who may not write to an owner's repositories."""
        if not self.owns(owner) or self.user[1] != "write":
            raise Refused(403, f"You don't have the rights to write to {owner}")


class Handler(BaseHTTPRequestHandler):
    """Reads a request, lets the hub answer it, writes the answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement
    wbufsize = -1
    hub: ClassVar[Hub]

    def do(self) -> None:
        address = urlsplit(self.path)
        method = "GET" if self.command == "HEAD" else self.command
        for route, (verb, pattern) in ROUTES.items():
            if verb == method and (found := re.fullmatch(pattern, address.path)):
                parts = {key: unquote(value or "") for key, value in found.groupdict().items()}
                return self._route(route, parts, parse_qs(address.query))
        self._body()
        return self._send(Refused(404, f"no route {self.command} {address.path}"))

    do_GET = do_HEAD = do_POST = do_PUT = do

    def _route(self, route: str, parts: dict[str, str], query: dict[str, list[str]]) -> None:
        fault = self.hub.fault(route)
        if fault and fault.how == "cut":
            self.rfile.read(int(self.headers.get("Content-Length", 2)) // 2)
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        body, garbled = self._body(), bool(fault and fault.how == "garble")
        try:
            if fault and fault.how == "status":
                raise Refused(fault.status, fault.text)
            asked = Asked(self.hub, route, parts, query, body, self._user(route), garbled)
            self._send(self.hub.answer(asked), halved=bool(fault and fault.how == "halve"))
        except Refused as error:
            self._send(error)

    def _user(self, route: str) -> User:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and self.headers["Host"].startswith("localhost"):
            self.hub.leaks.append(f"{self.command} {self.path}")
        if token and token not in USERS:
            raise Refused(401, "Invalid credentials in Authorization header")
        if not token and route in WRITING | {"whoami", "create"}:
            raise Refused(401, "Invalid username or password.")
        return USERS.get(token, NOBODY)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, answer: Answer | Refused, *, halved: bool = False) -> None:
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        begin = self._begin(answer)
        self.send_response(206 if begin else answer.status)
        for name, value in _headers(answer):
            self.send_header(name, value)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        body = body[begin:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if halved else body)
        if halved:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def _begin(self, answer: Answer | Refused) -> int:
        """The first byte asked for, of a file; a download that was cut goes on there."""
        found = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        whole = found is None or answer.status != 200 or not isinstance(answer.body, bytes)
        return 0 if whole or found is None else int(found[1])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what was asked is in `HubServer.asked`."""


def _headers(answer: Answer | Refused) -> list[tuple[str, str]]:
    if isinstance(answer, Answer):
        return list(answer.headers)
    code = [("X-Error-Code", answer.code)] if answer.code else []
    return [("X-Error-Message", str(answer)), *code]
