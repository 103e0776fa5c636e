"""Prompts of a data set on the Hub, over the loopback: a column, its commit, and what fails."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.hub_server import running

READ = """
import json
from invdpo.curate.prompts import PROMPT_SOURCES, collect
from invdpo.schemas import DataError
from invdpo.schemas.config import PromptsConfig
def source(**more):
    return PROMPT_SOURCES["hub"](PromptsConfig(source="hub", **more))
found = source(path="alice/prompts", column="text")
rows, _ = collect(found(), "hub", 10)
told = {"revision": found.fingerprint()["revision"], "rows": rows, "errors": []}
for more in ({"path": "alice/gone"}, {"path": "alice/prompts", "hub_revision": "v9"},
             {"path": "alice/prompts", "column": "prompt"}):
    try:
        made = source(**more)
        made.fingerprint(), list(made())
    except DataError as error:
        told["errors"].append(str(error))
print(json.dumps(told))
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
    told = json.loads(done.stdout)
    assert told["revision"] == repo.branches["main"]
    assert [row["prompt"] for row in told["rows"]] == ["two red cats", "赤い猫 {x}"]
    assert len(json.loads(told["rows"][0]["graph"])["items"]) == 2
    gone, revision, column = told["errors"]
    assert gone.startswith(
        "alice/gone: no such file or folder here, and no such data set on the Hub"
    )
    assert revision.startswith("alice/prompts: has no revision")
    assert "no column `prompt`; found: image, text" in column
