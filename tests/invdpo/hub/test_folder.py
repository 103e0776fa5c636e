"""Pushing: what goes, what stays, and what arrives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from invdpo.hub.errors import HubError
from invdpo.hub.files import MODEL_FILES
from invdpo.hub.folder import push_folder
from invdpo.hub.repository import FILES_A_COMMIT
from invdpo.schemas import DataError
from tests.hub_folder import KEPT, model_folder, push, write
from tests.hub_server import HubServer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return model_folder(tmp_path)


def test_what_belongs_there_arrives_and_nothing_else(hub: HubServer, folder: Path) -> None:
    assert push(folder) == f"{hub.url}/alice/tuned"
    repo = hub.model("alice/tuned")
    assert repo.files() == KEPT
    assert not repo.private
    assert "lfs-put" in hub.asked


def test_a_second_push_sends_only_what_changed(hub: HubServer, folder: Path) -> None:
    push(folder)
    commits, puts = len(hub.model("alice/tuned").messages), hub.asked.count("lfs-put")
    assert push(folder) == f"{hub.url}/alice/tuned"
    assert len(hub.model("alice/tuned").messages) == commits
    (folder / "metrics.jsonl").write_bytes(b'{"step": 2}\n')
    push(folder, note="More steps")
    repo = hub.model("alice/tuned")
    assert repo.files()["metrics.jsonl"] == b'{"step": 2}\n'
    assert repo.messages[commits:] == ["More steps"]
    assert hub.asked.count("lfs-put") == puts


def test_all_of_a_pipeline_belongs_there(hub: HubServer, tmp_path: Path) -> None:
    files = {
        "model_index.json": b'{"_class_name": "X", "unet": ["a", "B"], "tokenizer": ["c", "D"]}',
        "unet/config.json": b"{}",
        "unet/diffusion_pytorch_model.safetensors": b"unet",
        "tokenizer/merges.txt": b"#version",
    }
    write(tmp_path / "full", files | {"checkpoints/1/unet/config.json": b"{}"})
    push(tmp_path / "full")
    assert hub.model("alice/tuned").files() == files


def test_many_files_go_in_several_commits(hub: HubServer, tmp_path: Path) -> None:
    files = {f"data/part-{n:05d}.txt": b"%d" % n for n in range(FILES_A_COMMIT + 3)}
    write(tmp_path / "set", files)
    url = push_folder(tmp_path / "set", "lab/set", "dataset", patterns=["data/*.txt"])
    repo = hub.repos["datasets", "lab/set"]
    assert url == f"{hub.url}/datasets/lab/set"
    assert repo.files() == files
    assert hub.asked.count("commit") == 2


def test_branches_and_pull_requests(hub: HubServer, folder: Path) -> None:
    assert push(folder, revision="beta-500") == f"{hub.url}/alice/tuned/tree/beta-500"
    assert push(folder, create_pr=True) == f"{hub.url}/alice/tuned/discussions/1"
    repo = hub.model("alice/tuned")
    assert repo.files() == {}
    assert repo.files("beta-500") == repo.files("refs/pr/1") == KEPT


def test_a_pull_request_of_several_commits_is_one(hub: HubServer, tmp_path: Path) -> None:
    files = {f"data/{n}.txt": b"%d" % n for n in range(FILES_A_COMMIT + 1)}
    write(tmp_path / "set", files)
    url = push_folder(tmp_path / "set", "lab/x", "dataset", patterns=["data/*"], create_pr=True)
    repo = hub.repos["datasets", "lab/x"]
    assert url == f"{hub.url}/datasets/lab/x/discussions/1"
    assert repo.files("refs/pr/1") == files
    assert set(repo.branches) == {"main", "refs/pr/1"}


def test_folders_of_this_machine_stay_here(hub: HubServer, folder: Path) -> None:
    report = {"config": {"model": str(folder / "base")}, "result": {"notes": [f"{folder}: small"]}}
    (folder / "training.json").write_text(json.dumps(report))
    push(folder)
    sent = hub.model("alice/tuned").files()["training.json"]
    assert json.loads(sent) == {"config": {"model": "base"}, "result": {"notes": ["tuned: small"]}}
    assert json.loads((folder / "training.json").read_text()) == report


def test_links_out_of_the_folder_are_not_followed(hub: HubServer, folder: Path) -> None:
    write(folder.parent, {"secret.safetensors": b"secret"})
    (folder / "linked.safetensors").symlink_to(folder.parent / "secret.safetensors")
    push(folder)
    assert hub.model("alice/tuned").files() == KEPT


def test_private(hub: HubServer, folder: Path) -> None:
    push(folder, private=True)
    assert hub.model("alice/tuned").private
    assert push(folder, private=True)


def test_what_shall_be_private_is_never_pushed_to_the_public(hub: HubServer, folder: Path) -> None:
    hub.add("models", "alice/tuned")
    with pytest.raises(HubError, match="already exists and is public"):
        push(folder, private=True)
    assert hub.model("alice/tuned").files() == {}


def test_nothing_to_push(hub: HubServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no files to push; looked for"):
        push_folder(tmp_path, "alice/x", patterns=MODEL_FILES)
    assert hub.asked == []
