"""Prompts of a dataset on the Hub, over the loopback: a column, its commit, and what fails."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from invdpo.curate.prompts import PROMPT_SOURCES, collect
from invdpo.schemas import ConfigError, DataError
from invdpo.schemas.config.prompts import PromptsConfig
from tests.hub_server import HubServer, running

READ = """
import json
from invdpo.curate.prompts import PROMPT_SOURCES, collect
from invdpo.schemas import DataError
from invdpo.schemas.config import PromptsConfig
def source(**more):
    return PROMPT_SOURCES["hub"](PromptsConfig(source="hub", **more))
prompts = source(path="alice/prompts", column="text")
rows, *_ = collect(prompts(), "hub", 10)
result = {"revision": prompts.fingerprint()["revision"], "rows": rows, "errors": []}
for more in ({"path": "alice/gone"}, {"path": "alice/prompts", "hub_revision": "v9"},
             {"path": "alice/prompts", "column": "prompt"}):
    try:
        made = source(**more)
        made.fingerprint(), list(made())
    except DataError as error:
        result["errors"].append(str(error))
print(json.dumps(result))
"""


def parquet() -> bytes:
    table = pa.table({"text": ["two red cats", "赤い猫 {x}"], "image": [b"x", b"y"]})
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def test_a_column_of_a_data_set_and_its_commit(tmp_path: Path) -> None:
    with running() as hub:
        files = {"data/train-00000-of-00001.parquet": parquet()}
        repo = hub.add("datasets", "alice/prompts", **files)
        hub.objects.update({blob.sha256: blob.content for blob in repo.tree("main").values()})
        done = subprocess.run(
            [sys.executable, "-c", READ],
            text=True,
            capture_output=True,
            check=False,
            timeout=200,
            env=os.environ | hub.environment(home=tmp_path / "hf"),
        )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["revision"] == repo.branches["main"]
    assert [row["prompt"] for row in result["rows"]] == ["two red cats", "赤い猫 {x}"]
    assert len(json.loads(result["rows"][0]["graph"])["items"]) == 2
    gone, revision, column = result["errors"]
    assert gone.startswith(
        "alice/gone: no such file or folder here, and no such dataset on the Hub"
    )
    assert revision.startswith("alice/prompts: has no revision")
    assert "no column `prompt`; found: image, text" in column


def test_a_folder_in_the_hubs_form(tmp_path: Path) -> None:
    table = pa.table({"caption": ["a red cat", "two dogs"], "image": [b"x", b"y"]})
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data" / "train-00000-of-00001.parquet")
    config = PromptsConfig(source="hub", path=str(tmp_path))
    rows, *_ = collect(PROMPT_SOURCES["hub"](config)(), "hub", 10)
    assert [row["prompt"] for row in rows] == ["a red cat", "two dogs"]
    wrong = config.model_copy(update={"hub_split": "test"})
    with pytest.raises(DataError, match="split 'test' can't be opened"):
        list(PROMPT_SOURCES["hub"](wrong)())
    with pytest.raises(ConfigError, match=r"prompts\.path: missing"):
        PROMPT_SOURCES["hub"](PromptsConfig(source="hub"))


def test_a_branch_is_known_by_its_commit(hub: HubServer, tmp_path: Path) -> None:
    """A commit that is given is not looked up, nor is anything of a folder."""
    repo = hub.add("datasets", "alice/prompts", **{"data.parquet": parquet()})

    def fingerprint(**options: str) -> dict[str, object]:
        source = PROMPT_SOURCES["hub"](PromptsConfig(source="hub", num_prompts=9, **options))
        assert not source.counts()
        return source.fingerprint()

    known = fingerprint(path="alice/prompts", hub_split="test")
    assert known["revision"] == repo.branches["main"]
    assert [known[key] for key in ("source", "num_prompts", "dataset", "split")] == [
        *("hub", 9, "alice/prompts", "test")
    ]
    commit = "0123456789" * 4
    assert fingerprint(path="alice/gone", hub_revision=commit)["revision"] == commit
    assert fingerprint(path=str(tmp_path))["revision"] is None
    with pytest.raises(DataError, match=r"(?s)alice/gone.*give its commit with --hub-revision"):
        fingerprint(path="alice/gone")


def test_a_stream_that_names_no_columns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a row holds is then seen when it is read."""

    class Rows(list[dict[str, str]]):
        column_names = None

    monkeypatch.setattr(
        "datasets.load_dataset", lambda *_, **__: Rows([{"prompt": "a red cat", "other": "x"}])
    )
    source = PROMPT_SOURCES["hub"](PromptsConfig(source="hub", path=str(tmp_path)))
    assert [draft.prompt for draft in source()] == ["a red cat"]
