"""The server talks to its own page on this machine, and to nobody else."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from invdpo.curate.review.server import ReviewServer
from invdpo.schemas import ConfigError
from tests.curate.review.sessions import serving, session, table

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def server(work: Path) -> Iterator[ReviewServer]:
    with serving(session(work)) as review_server:
        yield review_server


def ask(
    server: ReviewServer,
    path: str,
    *,
    method: str = "GET",
    body: Any = None,
    token: str = "",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Mapping[str, str], bytes]:
    """One request under the token; status, headers and body of the answer."""
    line = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=240)
    text = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    line.request(method, f"/{token or server.token}/{path}", text, dict(headers or {}))
    answer = line.getresponse()
    result = answer.status, dict(answer.getheaders()), answer.read()
    line.close()
    return result


def decide(server: ReviewServer, **headers: str) -> int:
    """A decision on the first pair; the status."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"choice": "drop"}
    return ask(server, "pair/0", method="POST", body=body, headers=JSON | sent)[0]


def test_it_listens_on_this_machine_only(server: ReviewServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.url.startswith(f"http://127.0.0.1:{server.server_port}/")
    assert len(server.token) >= 32


def test_the_page_may_load_nothing_from_elsewhere(server: ReviewServer) -> None:
    for path in ("", "page.css", "page.js", "icon.svg", "state", "image/0/left"):
        status, headers, body = ask(server, path)
        assert status == 200, path
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert b"https://" not in body


@pytest.mark.parametrize("token", ["x", "0" * 32, "%2e%2e", "..", "-"])
def test_without_the_token_there_is_nothing(server: ReviewServer, token: str) -> None:
    for path in ("", "state", "image/0/left"):
        assert ask(server, path, token=token)[0] == 404
    status, _, _ = ask(server, "pair/0", method="POST", body={}, token=token, headers=JSON)
    assert status == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "[::1]:1"])
def test_names_that_were_rebound_to_this_machine(
    server: ReviewServer, host: str, work: Path
) -> None:
    named = {"Host": host.format(port=server.server_port)}
    assert ask(server, "state", headers=named)[0] == 403
    assert decide(server, **named) == 403
    assert table(work) == []
    assert ask(server, "state", headers={"Host": f"localhost:{server.server_port}"})[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_pages_of_others_decide_nothing(
    server: ReviewServer, work: Path, headers: dict[str, str], status: int
) -> None:
    assert decide(server, **headers) == status
    assert table(work) == []
    assert decide(server, Origin=server.url.split("/")[0] + "//" + server.hosts[0]) == 200
    assert len(table(work)) == 1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("pair/0", b"{", 400),
        ("pair/0", b"[]", 400),
        ("pair/0", b"x" * 20_000, 413),
        ("pair/0", {"choice": "both"}, 400),
        ("pair/6", {"choice": "left"}, 404),
        ("pair/-1", {"choice": "left"}, 404),
        ("nothing", {}, 404),
    ],
)
def test_bad_requests(server: ReviewServer, work: Path, path: str, body: Any, status: int) -> None:
    assert ask(server, path, method="POST", body=body, headers=JSON)[0] == status
    assert table(work) == []


@pytest.mark.parametrize(
    "path",
    ["pair/99", "pair/x", "image/0/up", "image/99/left", "../page.html", "session.py", "pair"],
)
def test_what_is_not_there(server: ReviewServer, path: str) -> None:
    assert ask(server, path)[0] == 404


def test_decisions_and_back(server: ReviewServer, work: Path) -> None:
    body = {"choice": "drop", "note": "broken"}
    status, _, answer = ask(server, "pair/2", method="POST", body=body, headers=JSON)
    assert (status, json.loads(answer)["decided"]) == (200, 1)
    assert [row["note"] for row in table(work)] == ["broken"]
    _, _, answer = ask(server, "undo", method="POST", body={}, headers=JSON)
    assert json.loads(answer)["number"] == 2
    assert table(work) == []


def test_rare_kinds_of_pictures_are_shown_as_png(work: Path) -> None:
    kinds = {"BMP": b"\x89PNG", "WEBP": b"RIFF", "JPEG": b"\xff\xd8\xff", "GIF": b"\x89PNG"}
    path = work / "dataset/data/train-00000-of-00001.parquet"
    for kind, magic in kinds.items():
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), "red").save(buffer, kind)
        rows = pq.read_table(path).to_pylist()
        rows[0]["chosen"] = rows[0]["rejected"] = {"bytes": buffer.getvalue(), "path": None}
        schema = pq.read_schema(path)
        pq.write_table(pa.Table.from_pylist(rows, schema), path)
        with serving(session(work)) as server:
            status, headers, body = ask(server, "image/0/left")
        assert status == 200
        assert headers["Content-Type"].startswith("image/")
        assert body.startswith(magic)


def test_a_port_that_is_taken(server: ReviewServer, work: Path) -> None:
    with pytest.raises(ConfigError, match=f"--port: {server.server_port} can't be used"):
        ReviewServer(session(work), server.server_port)


def test_nothing_is_said_on_the_terminal(server: ReviewServer, capfd: Any) -> None:
    ask(server, "state")
    ask(server, "nothing")
    line = http.client.HTTPConnection("127.0.0.1", server.server_port)
    line.connect()
    line.close()
    assert "".join(capfd.readouterr()) == ""
