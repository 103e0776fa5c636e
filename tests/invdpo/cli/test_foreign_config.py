"""A workspace from elsewhere decides what results are, not where keys and files of here go."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from invdpo.cli import app
from tests.hub_server import HubServer
from tests.workspaces import build

SECRET = "hf_" + "S" * 30


class Thief(BaseHTTPRequestHandler):
    """A server that answers as a scorer and notes what it was sent."""

    seen: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self._answer({"protocol": 1, "scorer": "thief", "revision": "1"})

    def do_POST(self) -> None:
        cases = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["cases"]
        self._answer({"scores": [{"id": case["id"], "score": 1.0} for case in cases]})

    def _answer(self, answer: dict[str, Any]) -> None:
        self.seen.append((self.command, self.headers["Authorization"]))
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def thief() -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Address of a running server, and what it was sent: methods and keys."""
    seen: list[tuple[str, str | None]] = []
    handler = type("Handler", (Thief,), {"seen": seen})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/score", seen
        server.shutdown()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("built") / "work").root


@pytest.fixture
def foreign(built: Path, tmp_path: Path) -> Path:
    """A workspace as it is copied from another machine."""
    return Path(shutil.copytree(built, tmp_path / "foreign"))


def name(work: Path, **sections: dict[str, Any]) -> None:
    """Write options into the file of a workspace, as its maker could."""
    config = yaml.safe_load((work / "invdpo.yaml").read_text())
    for section, values in sections.items():
        config[section] |= values
    (work / "invdpo.yaml").write_text(yaml.safe_dump(config))


def invdpo(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def evil(url: str) -> dict[str, Any]:
    return {
        "scorers": ["clip", "remote"],
        "remote_url": url,
        "remote_key_variable": "HF_TOKEN",
    }


def test_a_copied_workspace_sends_nothing(
    foreign: Path, thief: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, seen = thief
    monkeypatch.setenv("HF_TOKEN", SECRET)
    name(foreign, score=evil(url))
    result = invdpo("curate", "score", foreign)
    assert result.exit_code == 1
    assert seen == []
    for line in (f"score.remote_url: '{url}'", "score.remote_key_variable: 'HF_TOKEN'"):
        assert line in result.stderr
    words = ["curate", "score", foreign, "--config", foreign / "invdpo.yaml"]
    accepted = invdpo(*words)
    assert accepted.exit_code == 1
    assert "'HF_TOKEN': keys are sent only from variables that begin" in accepted.stderr
    assert seen == []


def test_a_pulled_workspace_sends_nothing(
    foreign: Path,
    thief: tuple[str, list[Any]],
    hub: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither what an honest push leaves out nor what somebody put there by hand is used."""
    url, seen = thief
    name(foreign, score=evil(url), prompts={"vlm_url": url}, generate={"device": "cuda:5"})
    assert invdpo("curate", "push", foreign, "--repo", "alice/evil").exit_code == 0
    repo = hub.dataset("alice/evil")
    packed = yaml.safe_load(repo.files()["workspace/invdpo.yaml"])
    assert (packed["score"]["remote_url"], packed["prompts"]["vlm_url"]) == (None, None)
    assert packed["score"]["remote_key_variable"] == "INVDPO_REMOTE_KEY"
    assert packed["generate"]["device"] == "auto"

    content = (foreign / "invdpo.yaml").read_bytes()
    put_by_hand(repo, "workspace/invdpo.yaml", content)
    back = tmp_path / "back"
    result = invdpo("curate", "pull", "alice/evil", back)
    assert result.exit_code == 0, result.stderr
    dropped = "generate.device, score.remote_key_variable, score.remote_url"
    assert (
        f"invdpo.yaml: left out prompts.vlm_url, {dropped}, which are not taken from another "
        "machine"
    ) in result.stderr
    kept = yaml.safe_load((back / "invdpo.yaml").read_text())
    assert (kept["score"]["remote_url"], kept["score"]["scorers"]) == (None, ["clip", "remote"])
    scored = invdpo("curate", "score", back)
    assert (scored.exit_code, seen) == (1, [])
    assert "score.scorers: ('clip', 'remote')" in scored.stderr
    assert invdpo("curate", "pair", back).exit_code == 0  # which uses none of it


def put_by_hand(repo: Any, path: str, content: bytes) -> None:
    """Replace a file of a pushed set so that the manifest fits it."""
    import hashlib

    from invdpo.hub.manifest import MANIFEST

    manifest = json.loads(repo.files()[MANIFEST])
    digest = hashlib.sha256(content).hexdigest()
    manifest["files"][path] = {"sha256": digest, "bytes": len(content)}
    repo.put("main", {path: content, MANIFEST: json.dumps(manifest).encode()}, "by hand")


def test_options_given_once_are_remembered(foreign: Path, thief: tuple[str, list[Any]]) -> None:
    """The user's own address needs no repetition, even where a table is made in two goes."""
    url, seen = thief
    scorers = ["--scorers", "remote", "--remote-url", url]
    first = invdpo("curate", "score", foreign, *scorers)
    assert first.exit_code == 0, first.stderr
    assert [method for method, _ in seen].count("POST") == 3
    again = invdpo("curate", "score", foreign)
    assert again.exit_code == 0, again.stderr
    moved = foreign.rename(foreign.with_name("moved"))
    refused = invdpo("curate", "score", moved)
    assert (refused.exit_code, "score.remote_url" in refused.stderr) == (1, True)


@pytest.mark.parametrize(
    ("section", "values", "command"),
    [
        ("prompts", {"source": "file", "path": "secrets.txt"}, ("curate", "prompts")),
        ("generate", {"model": "lab/evil"}, ("curate", "generate")),
        ("generate", {"loras": ["lab/evil=2"]}, ("curate", "run")),
        ("annotate", {"annotators": ["import"], "import_path": "x.json"}, ("curate", "annotate")),
        ("annotate", {"vlm_cache": "elsewhere"}, ("curate", "annotate")),
        ("score", {"clip_model": "hf-hub:lab/evil"}, ("curate", "score")),
    ],
)
def test_paths_models_and_plug_ins_need_a_word(
    foreign: Path, section: str, values: dict[str, Any], command: tuple[str, ...]
) -> None:
    name(foreign, **{section: values})
    before = (foreign / "invdpo.yaml").read_text()
    for words in ([], ["--dry-run"]):
        result = invdpo(*command, foreign, *words)
        assert result.exit_code == 1
        for key in values:
            assert f"{section}.{key}: " in result.stderr
    assert (foreign / "invdpo.yaml").read_text() == before


@pytest.mark.parametrize(
    "values",
    [
        {"pictures_every": 1, "picture_prompts": "secret.txt"},
        {"model": "lab/evil"},
        {"trackers": ["wandb"]},
    ],
)
def test_training_asks_for_a_word_about_the_file_beside_the_data(
    foreign: Path, tmp_path: Path, values: dict[str, Any]
) -> None:
    name(foreign, train=values)
    result = invdpo("train", foreign / "dataset", "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert f"train.{list(values)[-1]}: " in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("annotator", ["../../elsewhere", "/etc", "a\\b", ".."])
def test_the_name_of_a_table_is_no_path(foreign: Path, annotator: str) -> None:
    name(foreign, score={"annotator": annotator})
    result = invdpo("curate", "pair", foreign, "--min-margin", "0.2", "--overwrite")
    assert result.exit_code == 1
    assert "an invalid name of a scorer or annotator" in result.stderr
