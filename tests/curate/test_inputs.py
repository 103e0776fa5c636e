"""What parts read of a table, and what comes from behind addresses, whose keys are never shown."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pytest

from invdpo.curate.annotators.imported import ImportAnnotator
from invdpo.curate.inputs import _by_key
from invdpo.curate.prompts.file import FileSource
from invdpo.curate.scene_graphs.vocabulary import OURS, read_vocabulary
from invdpo.curate.storage.parts import write_part
from invdpo.curate.storage.urls import to_path
from invdpo.schemas import ConfigError, DataError, PluginError
from invdpo.schemas.config.annotate import AnnotateConfig
from invdpo.schemas.config.prompts import PromptsConfig
from tests.hub_server import connected

TEXT = 'a red circle\n\na "blue" square, {braces}\n'


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "prompts.txt").write_text(TEXT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def memory() -> str:
    return f"memory://{uuid.uuid4().hex}"


def source(path: str) -> FileSource:
    return FileSource(PromptsConfig(source="file", path=path))


def prompts(path: str) -> list[str | None]:
    return [draft.prompt for draft in source(path)()]


def test_a_part_reads_the_rows_of_its_own_prompts(tmp_path: Path) -> None:
    """Each part of many would make Python's objects of the whole table otherwise."""
    table = pa.table({"prompt_id": ["a", "b", "c"], "prompt": ["x", "y", "z"]})
    write_part(tmp_path / "t.parquet", table, {})
    keys = pa.chunked_array([["c"], ["a", "c", "gone"]])
    found = _by_key(tmp_path / "t.parquet", "prompt_id", keys, {"prompt": "text"})
    assert found == {"a": {"text": "x"}, "c": {"text": "z"}}


def test_over_http(site: str) -> None:
    assert prompts(f"{site}/prompts.txt") == ["a red circle", 'a "blue" square, {braces}']
    with pytest.raises(DataError, match=r"none\.txt: .* Give a readable file of prompts"):
        source(f"{site}/none.txt")


def test_from_a_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with connected(monkeypatch, tmp_path) as hub:
        hub.add("datasets", "alice/prompts", **{"deep/prompts.txt": TEXT.encode()})
        path = "hf://datasets/alice/prompts/deep/prompts.txt"
        assert prompts(path) == ["a red circle", 'a "blue" square, {braces}']
        with pytest.raises(DataError, match="Give a readable file"):
            source("hf://datasets/alice/prompts/none.txt")


def test_content_counts_and_not_the_place(site: str, tmp_path: Path) -> None:
    (tmp_path / "same.txt").write_text(TEXT)
    here, there = source(str(tmp_path / "same.txt")), source(f"{site}/prompts.txt")
    assert here.fingerprint() == there.fingerprint()


def test_tables_and_graphs_and_words(memory: str) -> None:
    to_path(f"{memory}/prompts.jsonl").write_text('{"prompt": "a star"}\n')
    assert prompts(f"{memory}/prompts.jsonl") == ["a star"]
    graph = {"items": [{"item_id": 0, "label": "star", "attributes": []}], "relations": []}
    to_path(f"{memory}/graphs.json").write_text(json.dumps([{"candidate_id": "c", "graph": graph}]))
    annotator = ImportAnnotator(AnnotateConfig(import_path=f"{memory}/graphs.json"))
    assert annotator.revision.startswith("sha256:")
    with pytest.raises(DataError, match=r"none\.json"):
        _ = ImportAnnotator(AnnotateConfig(import_path=f"{memory}/none.json")).revision
    to_path(f"{memory}/words.yaml").write_bytes(OURS.read_bytes())
    assert read_vocabulary(f"{memory}/words.yaml") == read_vocabulary()
    with pytest.raises(DataError, match="can't be read as a vocabulary"):
        read_vocabulary(f"{memory}/none.yaml")


@pytest.mark.parametrize(
    "path", ["https://host/p.txt?token=SECRET", "ftp://me:SECRET@host/p.txt", "sftp://SECRET@h/p"]
)
def test_keys_in_addresses_are_refused_and_not_shown(path: str) -> None:
    makers = (
        lambda: source(path),
        lambda: ImportAnnotator(AnnotateConfig(import_path=path)).revision,
        lambda: read_vocabulary(path),
    )
    for make in makers:
        with pytest.raises((ConfigError, PluginError), match="environment variables") as refused:
            make()
        assert "SECRET" not in str(refused.value)
