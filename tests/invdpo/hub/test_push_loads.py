"""A pushed dataset as `datasets` loads it from the Hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from invdpo.hub.push import PushOptions, push_set
from tests.hub_server import HubServer
from tests.workspaces import build

LOAD = """
import json, sys
from datasets import load_dataset
found = load_dataset("lab/set", revision=sys.argv[1] if len(sys.argv) > 1 else None)
print(json.dumps({
    "rows": {name: len(split) for name, split in found.items()},
    "columns": sorted(found["train"].column_names)[:3],
    "size": found["train"][0]["chosen"].size,
    "kind": type(found["train"].features["chosen"]).__name__,
}))
"""


def test_datasets_loads_it_from_there(hub: HubServer, tmp_path: Path) -> None:
    """The tables that lie beside the set are none of its data."""
    options = PushOptions(candidates=True)
    push_set(build(tmp_path / "work").root, "lab/set", options, note=lambda _: None)
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
        env=os.environ | hub.environment(home=tmp_path / "hf"),
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert sum(found["rows"].values()) == 6
    assert set(found["rows"]) == {"train", "validation"}
    assert (found["size"], found["kind"]) == ([24, 24], "Image")
    assert hub.leaks == []
