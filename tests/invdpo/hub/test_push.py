"""`invdpo curate push`: what goes, what stays, what is refused, and what people are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.curate import steps
from invdpo.curate.runner import RunOptions
from invdpo.curate.workspace import Workspace
from invdpo.hub import push as hub_push
from invdpo.schemas.config import Config
from invdpo.schemas.config.pair import PairConfig
from tests.hub_http import TOKEN
from tests.hub_server import HubServer
from tests.workspaces import CONFIG, build, built, work

__all__ = ["built", "work"]

TABLES = {
    "annotations/shapes",
    "candidates",
    "pairs",
    "prompts",
    "scores/clip",
    "scores/composition",
}
SET = {
    "README.md",
    "invdpo.json",
    "data/train-00000-of-00001.parquet",
    "data/validation-00000-of-00001.parquet",
}
WHOLE = {
    *SET,
    "workspace/invdpo.yaml",
    "workspace/pairs.report.json",
    *(f"workspace/{name}-00000-of-00001.parquet" for name in TABLES),
}


def push(*words: object, path: object = "work", repo: str = "lab/set") -> Any:
    """The command in the test's folder; no token of ours may be in what it says."""
    found = ["curate", "push", str(path), "--repo", repo, *map(str, words)]
    result = CliRunner().invoke(app, found)
    assert TOKEN not in result.output
    return result


def pushed(*words: object, **options: Any) -> Any:
    """The same in JSON, of a push that must succeed."""
    result = push(*words, "--json", **options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def cut_anew(work: Path, **changes: Any) -> Config:
    """The same candidates in other pairs."""
    from invdpo.curate.workspace import Workspace

    config = CONFIG.model_copy(update={"pair": PairConfig(**changes)})
    steps.pair(Workspace(work), config, RunOptions(overwrite=True, progress=False))
    return config


def test_the_set_and_its_tables_arrive_in_one_commit(hub: HubServer, work: Path) -> None:
    (work / ".push.tmp/workspace/scores").mkdir(parents=True)
    (work / ".push.tmp/workspace/scores/old.parquet").write_text("of a push that was killed")
    found = pushed()
    repo = hub.dataset("lab/set")
    assert set(repo.files()) == WHOLE
    assert found["url"] == f"{hub.url}/datasets/lab/set"
    assert found["commit"] == repo.commit_of("main")
    assert found["sent"] == {"files": len(WHOLE), "bytes": sum(map(len, repo.files().values()))}
    assert hub.asked.count("commit") == 1
    for name in SET - {"invdpo.json"}:
        assert repo.files()[name] == (work / "dataset" / name).read_bytes()
    assert not list(work.glob(".push*"))
    head = yaml.safe_load(repo.files()["README.md"].decode().split("---\n")[1])
    assert {"configs", "dataset_info"} <= head.keys()


def test_a_second_push_sends_nothing(hub: HubServer, work: Path) -> None:
    pushed()
    puts, commits = hub.asked.count("lfs-put"), len(hub.dataset("lab/set").messages)
    found = pushed()
    assert (found["sent"]["files"], found["kept"]["files"]) == (0, len(WHOLE))
    assert hub.asked.count("lfs-put") == puts
    assert len(hub.dataset("lab/set").messages) == commits
    assert "Nothing has changed" in push().stderr


def test_other_pairs_of_the_same_candidates_are_a_new_version(hub: HubServer, work: Path) -> None:
    """Prompts, candidates and scores are not sent again; shards of the older push go."""
    pushed()
    hub.asked.clear()
    cut_anew(work, min_margin=0.1, validation_fraction=0.0)
    found = pushed()
    assert set(hub.dataset("lab/set").files()) == WHOLE - {"data/validation-00000-of-00001.parquet"}
    assert found["removed"] == {"files": 1}
    assert found["kept"]["files"] >= 4
    assert hub.asked.count("lfs-put") == 2  # pairs and one shard
    assert hub.asked.count("commit") == 1


def test_a_named_set_is_no_version_of_another(hub: HubServer, work: Path) -> None:
    assert CliRunner().invoke(app, ["curate", "pair", "work", "--name", "own"]).exit_code == 0
    assert pushed("--name", "own")["workspace"]
    assert Workspace(work, "own").pushed_to() == "lab/set"
    refused = push()
    assert refused.exit_code == 1
    assert 'set.name: "own" there, nothing here' in refused.output


def test_a_folder_goes_alone_and_takes_older_tables_away(hub: HubServer, work: Path) -> None:
    pushed()
    hub.dataset("lab/set").put("main", {"notes.md": b"mine", ".gitattributes": b"x"}, "by hand")
    found = pushed(path="work/dataset")
    assert not found["workspace"]
    assert set(hub.dataset("lab/set").files()) == SET | {"notes.md", ".gitattributes"}


def test_a_dry_run_tells_the_same_and_changes_nothing(hub: HubServer, work: Path) -> None:
    before = sorted(work.rglob("*"))
    plan = pushed("--dry-run")
    assert hub.repos == {}
    assert sorted(work.rglob("*")) == before
    done = pushed()
    assert (plan.pop("commit"), plan.pop("dry_run")) == (None, True)
    assert plan.items() <= done.items()
    again = push("--dry-run")
    assert "would be kept" in again.stdout
    assert "Nothing was sent." in again.stderr


def test_another_data_set_is_not_replaced_without_force(
    hub: HubServer, work: Path, tmp_path: Path
) -> None:
    pushed()
    build(tmp_path / "other", model="another")
    before = hub.dataset("lab/set").files()
    refused = push(path="other")
    assert refused.exit_code == 1
    assert "lab/set holds another dataset, made from other candidates." in refused.stderr
    assert 'generate.model: "m" there, "another" here' in refused.stderr
    assert push("--create-pr", path="other").exit_code == 1
    assert hub.dataset("lab/set").files() == before
    assert pushed("--force", path="other")["sent"]["files"] > 3
    assert push().exit_code == 1


def test_files_of_others_are_not_replaced_without_force(hub: HubServer, work: Path) -> None:
    files = {"data/train-00000-of-00002.parquet": b"theirs", "README.md": b"theirs", "a.txt": b"a"}
    hub.add("datasets", "lab/set", **files)
    refused = push()
    assert refused.exit_code == 1
    assert "holds files that invdpo did not push, such as data/train-00000-of-00002.parquet" in (
        refused.stderr
    )
    assert hub.dataset("lab/set").files() == files
    pushed("--force")
    assert set(hub.dataset("lab/set").files()) == WHOLE | {"a.txt"}


def test_a_repository_with_only_a_card_is_free(hub: HubServer, work: Path) -> None:
    hub.add("datasets", "lab/set", **{"README.md": b"soon", ".gitattributes": b"x"})
    pushed()
    assert set(hub.dataset("lab/set").files()) == WHOLE | {".gitattributes"}


@pytest.mark.parametrize("fingerprint", ["{}", '{"import": {"layout": "preference"}}'])
def test_a_set_of_unknown_origin_is_the_same_by_its_bytes(
    hub: HubServer, work: Path, fingerprint: str
) -> None:
    import pyarrow.parquet as pq

    folder = work / "dataset"
    for path in folder.glob("data/*.parquet"):
        table = pq.read_table(path)
        pq.write_table(table.replace_schema_metadata({"invdpo.config": fingerprint}), path)
    card = (folder / "README.md").read_text(encoding="utf-8")
    lines = [line for line in card.splitlines() if "SHA-256 of the files" not in line]
    (folder / "README.md").write_text(
        "\n".join(lines), encoding="utf-8"
    )  # as before there were hashes
    pushed(path=folder)
    pushed(path=folder)
    path = folder / "data/train-00000-of-00001.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    refused = push(path=folder)
    assert "the origin of both is unknown" in refused.stderr
    pushed("--force", path=folder)


def test_branches_and_pull_requests(hub: HubServer, work: Path) -> None:
    assert pushed("--revision", "v1")["url"] == f"{hub.url}/datasets/lab/set/tree/v1"
    assert pushed("--create-pr")["url"] == f"{hub.url}/datasets/lab/set/discussions/1"
    repo = hub.dataset("lab/set")
    assert repo.files() == {}
    assert set(repo.files("v1")) == set(repo.files("refs/pr/1")) == WHOLE
    both = push("--create-pr", "--revision", "v1")
    assert both.exit_code == 2
    assert "--create-pr" in both.stderr


@pytest.mark.parametrize("name", ["a b", "../x", "x/", "a..b", "v1.lock/", "", "0" * 40, "x\n"])
def test_branches_that_git_forbids(hub: HubServer, work: Path, name: str) -> None:
    result = push("--revision", name)
    assert result.exit_code == 1
    assert "expected the name of a branch" in result.stderr
    assert hub.asked == []


def test_more_files_than_a_commit_takes_are_still_one_change(
    hub: HubServer, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go to a pull request, which is merged: the branch jumps from nothing to all of it."""
    monkeypatch.setattr(hub_push, "CHANGES_A_COMMIT", 5)
    before = len(hub.add("datasets", "lab/set").trees)
    found = pushed()
    repo = hub.dataset("lab/set")
    assert set(repo.files()) == WHOLE
    assert found["commit"] == repo.commit_of("main")
    sizes = [len(tree) for tree in repo.trees.values()][before:]
    assert sizes == [5, 10, len(WHOLE), len(WHOLE)]
    assert repo.messages[-1] == "Merge refs/pr/1"
    cut_anew(work, min_margin=0.2, validation_fraction=0.0)
    monkeypatch.setattr(hub_push, "CHANGES_A_COMMIT", 2)
    assert pushed("--create-pr")["url"].endswith("/discussions/2")
    assert set(repo.files()) == WHOLE


def test_nothing_private_goes_along(hub: HubServer, work: Path, tmp_path: Path) -> None:
    path = work / "invdpo.yaml"
    values = yaml.safe_load(path.read_text())
    values["generate"]["model"] = f"{tmp_path}/models/sd15"
    values["prompts"]["path"] = f"{tmp_path}/hf_AbCdEf0123456789.txt"
    path.write_text(yaml.safe_dump(values))
    (work / "token").write_text(TOKEN)
    (work / "dataset" / ".hidden").write_text(TOKEN)
    pushed("--with-candidates")
    files = hub.dataset("lab/set").files()
    assert set(files) == WHOLE
    for name, content in files.items():
        for secret in (TOKEN, str(tmp_path), "hf_AbCdEf"):
            assert secret.encode() not in content, f"{secret} in {name}"
    assert yaml.safe_load(files["workspace/invdpo.yaml"])["generate"]["model"] == "sd15"


def test_private(hub: HubServer, work: Path) -> None:
    pushed("--private")
    assert hub.dataset("lab/set").private
    hub.add("datasets", "lab/public")
    result = push("--private", repo="lab/public")
    assert "already exists and is public" in result.stderr


def test_what_people_wrote_on_the_hub_stays(hub: HubServer, work: Path) -> None:
    """Their words and keys are kept in the renewed card, push after push; --force drops them."""
    pushed()
    repo = hub.dataset("lab/set")
    card = repo.files()["README.md"].decode()
    edited = card.replace("---\n\n", "doi: 10.1/x\n---\n\nA word of ours.\n\n", 1)
    repo.put("main", {"README.md": edited.encode()}, "by hand")
    assert "edited on the Hub" in push("--dry-run").stderr
    cut_anew(work, min_margin=0.2, validation_fraction=0.0)
    for _ in range(2):
        pushed()
        found = repo.files()["README.md"].decode()
        assert "A word of ours." in found
        assert "doi: 10.1/x" in found
        assert "data/validation" not in found
    pushed("--force")
    assert repo.files()["README.md"] == (work / "dataset/README.md").read_bytes()
