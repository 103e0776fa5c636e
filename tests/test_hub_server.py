"""The loopback Hub against huggingface_hub's own client, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub_http import READER, STRANGER, TOKEN
from tests.hub_server import Fault, HubServer, running

START = """
import json, sys
from pathlib import Path
from huggingface_hub import DatasetCard, HfApi, ModelCard, hf_hub_download, snapshot_download
from huggingface_hub.errors import *
api, here, found = HfApi(), Path.cwd(), {}
"""
FILES = {
    "README.md": b"---\nlicense: mit\n---\n\n# A card\n",
    "weights.safetensors": bytes(range(256)) * 100,
    "unet/config.json": b'{"in": 4}',
    "empty.txt": b"",
    "big.json": b"[" + b"1," * 20_000 + b"1]",
}


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with running() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "folder"


def client(hub: HubServer, cwd: Path, code: str, token: str | None = TOKEN) -> Any:
    """What the code put into `found`; it runs as a process that knows only this Hub."""
    done = subprocess.run(
        [sys.executable, "-c", f"{START}{code}\nprint(json.dumps(found))"],
        cwd=cwd,
        text=True,
        env=os.environ | hub.environment(token, home=cwd / "hf"),
        capture_output=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_what_is_pushed_comes_back_byte_for_byte(hub: HubServer, folder: Path, kind: str) -> None:
    code = f"""
kind = {kind!r}
found["url"] = str(api.create_repo("alice/thing", repo_type=kind, private=True))
found["again"] = str(api.create_repo("alice/thing", repo_type=kind, exist_ok=True))
done = api.upload_folder(repo_id="alice/thing", repo_type=kind, folder_path="folder")
found["commit"] = done.oid
back = Path(snapshot_download("alice/thing", repo_type=kind))
found["same"] = {{
    str(p.relative_to("folder")): (back / p.relative_to("folder")).read_bytes() == p.read_bytes()
    for p in Path("folder").rglob("*") if p.is_file()
}}
found["tree"] = [[e.path, getattr(e, "blob_id", None)]
                 for e in api.list_repo_tree("alice/thing", repo_type=kind, recursive=True)]
found["top"] = [e.path for e in api.list_repo_tree("alice/thing", repo_type=kind)]
found["info"] = [f.path for f in
                 api.get_paths_info("alice/thing", "unet/config.json", repo_type=kind)]
again = api.upload_folder(repo_id="alice/thing", repo_type=kind, folder_path="folder")
found["no_op"] = again.oid == done.oid
"""
    found = client(hub, folder.parent, code)
    prefix = "datasets/" if kind == "dataset" else ""
    assert found["url"] == found["again"] == f"{hub.url}/{prefix}alice/thing"
    assert found["same"] == dict.fromkeys(FILES, True)
    assert sorted(path for path, _ in found["tree"]) == sorted([*FILES, "unet"])
    assert sorted(found["top"]) == sorted({name.split("/")[0] for name in FILES})
    assert found["info"] == ["unet/config.json"]
    assert found["no_op"]
    repo = hub.repos[f"{kind}s", "alice/thing"]
    assert repo.files() == FILES
    assert repo.private
    assert repo.commit_of("main") == found["commit"]
    assert {"weights.safetensors", "big.json"} == {p for p, b in repo.tree("main").items() if b.lfs}
    assert hub.leaks == []  # the store of large files is another host and gets no token


def test_git_would_give_the_same_names(hub: HubServer, tmp_path: Path) -> None:
    """The hash of `hello` is git's own, as `git hash-object` tells it."""
    repo = hub.add("models", "alice/x", **{"a.txt": b"hello\n"})
    assert repo.tree("main")["a.txt"].oid == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_branches_pull_requests_and_deletions(hub: HubServer, folder: Path) -> None:
    code = """
api.create_repo("lab/thing")
api.create_branch("lab/thing", branch="try/1")
api.upload_folder(repo_id="lab/thing", folder_path="folder", revision="try/1")
done = api.upload_folder(repo_id="lab/thing", folder_path="folder", create_pr=True)
found["pr"] = [done.pr_url, done.pr_revision]
api.delete_files("lab/thing", ["unet/", "empty.txt"], revision="try/1")
found["file"] = Path(hf_hub_download("lab/thing", "big.json", revision="try/1")).stat().st_size
"""
    found = client(hub, folder.parent, code)
    repo = hub.model("lab/thing")
    assert repo.files() == {}
    assert repo.files("refs/pr/1") == FILES
    assert set(repo.files("try/1")) == {"README.md", "weights.safetensors", "big.json"}
    assert found["pr"] == [f"{hub.url}/lab/thing/discussions/1", "refs/pr/1"]
    assert found["file"] == len(FILES["big.json"])


@pytest.mark.parametrize(
    ("token", "owner", "expected"),
    [
        (None, "alice", [401, "LocalTokenNotFoundError", 401]),
        ("hf_wrongwrongwrong", "alice", [401, 401, 401]),
        (READER, "alice", [403, "alice", 200]),
        (STRANGER, "alice", [403, "mallory", 404]),
        (TOKEN, "lab", [200, "alice", 200]),
    ],
)
def test_who_may_do_what(
    hub: HubServer, tmp_path: Path, token: str | None, owner: str, expected: list[Any]
) -> None:
    hub.add("models", "alice/hidden").private = True
    code = f"""
def status(act):
    try:
        got = act()
        return got["name"] if isinstance(got, dict) else 200
    except HfHubHTTPError as error:
        return error.response.status_code
    except LocalTokenNotFoundError as error:
        return type(error).__name__
found = [status(lambda: api.create_repo("{owner}/new")), status(api.whoami),
         status(lambda: api.model_info("alice/hidden"))]
"""
    assert client(hub, tmp_path, code, token) == expected


def test_what_is_not_there(hub: HubServer, tmp_path: Path) -> None:
    hub.add("models", "alice/x", **{"a/b.txt": b"b"})
    code = """
def kind(act):
    try:
        act()
    except HfHubHTTPError as error:
        return type(error).__name__
found = [
    kind(lambda: api.model_info("alice/none")),
    kind(lambda: api.model_info("alice/x", revision="none")),
    kind(lambda: list(api.list_repo_tree("alice/x", "none"))),
    kind(lambda: hf_hub_download("alice/x", "none.txt")),
    kind(lambda: api.create_repo("alice/x")),
]
"""
    assert client(hub, tmp_path, code) == [
        "RepositoryNotFoundError",
        "RevisionNotFoundError",
        "RemoteEntryNotFoundError",
        "RemoteEntryNotFoundError",
        "HfHubHTTPError",
    ]


def test_cards_are_checked(hub: HubServer, tmp_path: Path) -> None:
    code = """
def told(card):
    try:
        card.validate()
    except ValueError as error:
        return [e["message"] for e in json.loads(str(error))["errors"]]
head = "---\\nlicense: {}\\nbase_model: {}\\nbase_model_relation: adapter\\n---\\nText"
found["good"] = told(ModelCard(head.format("openrail++", "org/name")))
found["bad"] = told(ModelCard(head.format("my own", "/srv/me/model")))
found["data"] = told(DatasetCard("---\\npipeline_tag: text-to-image\\n---\\n"))
"""
    found = client(hub, tmp_path, code, token=None)
    assert found["good"] is None
    assert found["bad"] == ['"license" is not valid', '"base_model, datasets" is not valid']
    assert found["data"] == ['"pipeline_tag" is not valid']


def test_faults(hub: HubServer, folder: Path) -> None:
    """The client retries an upload that was cut and one that was refused for the moment."""
    hub.faults = [Fault("lfs-put", "cut"), Fault("preupload", status=503), Fault("create", at=2)]
    code = """
api.create_repo("alice/thing")
api.upload_folder(repo_id="alice/thing", folder_path="folder")
try:
    api.create_repo("alice/other")
except HfHubHTTPError as error:
    found["status"] = error.response.status_code
"""
    assert client(hub, folder.parent, code) == {"status": 500}
    assert hub.model("alice/thing").files() == FILES
    assert hub.asked.count("lfs-put") == 3
    assert hub.asked.count("preupload") == 2


def test_a_store_that_keeps_other_bytes(hub: HubServer, folder: Path) -> None:
    hub.faults = [Fault("lfs-put", "garble", times=2)]
    code = """
api.create_repo("alice/thing")
api.upload_folder(repo_id="alice/thing", folder_path="folder")
"""
    client(hub, folder.parent, code)
    kept = hub.model("alice/thing").files()
    assert {name for name in FILES if kept[name] != FILES[name]} == {
        "weights.safetensors",
        "big.json",
    }
