"""Datasets of the Hub: one real download over the loopback, and every way that it fails."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors

from invdpo.schemas.errors import DataError
from invdpo.train.data import open_dataset
from tests.hub_http import TOKEN
from tests.hub_repos import Repo
from tests.hub_server import HubServer, running
from tests.train.data.dataset_folders import (
    EXPECTED,
    contents,
    paths,
    structs,
    write_file,
    write_table,
)
from tests.train.tiny import png

READ = """
import json, sys
from invdpo.schemas.errors import DataError
from invdpo.train.data import open_dataset
result = {"errors": []}
dataset = open_dataset("alice/pairs")
result["format"] = dataset.data_format
result["revision"] = dataset.revision
result["pairs"] = [(p.prompt, p.chosen, p.rejected) for p in dataset.pairs("train").pairs]
result["files"] = sorted(p.name for p in dataset.files.root.rglob("*.*"))
for name, revision in (("alice/gone", None), ("bob/hidden", None), ("alice/pairs", "v9")):
    try:
        open_dataset(name, revision=revision)
    except DataError as error:
        result["errors"].append(str(error))
print(json.dumps(result))
"""


OPEN = "from invdpo.train.data import open_dataset as o; o"
AGAIN = """
from invdpo.schemas.errors import DataError
from invdpo.train.data import open_dataset
print(len(open_dataset("alice/pairs").pairs("train").pairs))
try:
    open_dataset("alice/other")
except DataError as error:
    print(error)
"""


def client(code: str, cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A process that knows no other Hub than that of its environment."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        text=True,
        capture_output=True,
        check=False,
        env=os.environ | environment,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done


def uploaded(hub: HubServer, name: str, folder: Path) -> Repo:
    """A folder as a dataset of the Hub, its large files in the LFS store."""
    paths = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    files = {path: p.read_bytes() for path, p in paths.items()}
    hub.objects.update({hashlib.sha256(content).hexdigest(): content for content in files.values()})
    return hub.add("datasets", name, **files)


def test_a_data_set_with_paths_comes_over_the_wire(tmp_path: Path) -> None:
    paths(tmp_path / "set")
    write_file(tmp_path / "set" / "model.bin", b"not wanted")
    with running() as hub:
        pairs = uploaded(hub, "alice/pairs", tmp_path / "set")
        uploaded(hub, "bob/hidden", tmp_path / "set").private = True
        done = client(READ, tmp_path, hub.environment(home=tmp_path / "hf"))
    result = json.loads(done.stdout)
    assert (result["format"], result["revision"]) == ("preference", pairs.branches["main"])
    assert [tuple(pair) for pair in result["pairs"]] == EXPECTED
    assert "model.bin" not in result["files"]
    assert "pairs.parquet" in result["files"]
    gone, hidden, revision = result["errors"]
    assert gone.startswith(
        "alice/gone: no such file or folder here, and no such dataset on the Hub"
    )
    assert hidden.startswith(
        "bob/hidden: no such file or folder here, and no such dataset on the Hub"
    )
    assert revision.startswith("alice/pairs: has no revision 'v9' on the Hub.")
    assert TOKEN not in done.stdout
    assert not done.stderr  # no bars where there is no terminal


OTHER_FORMS = {
    "saved": ["dataset_dict.json", "train/data-00000-of-00001.arrow", "train/state.json"],
    "nested": ["default/train/0000.parquet", "default/test/0000.parquet"],
}


def test_other_forms_are_told_before_anything_is_downloaded(tmp_path: Path) -> None:
    with running() as hub:
        for name, files in OTHER_FORMS.items():
            hub.add("datasets", f"alice/{name}", **dict.fromkeys(files, b"x" * 100))
        code = (
            "from invdpo.schemas.errors import DataError\n"
            "from invdpo.train.data import open_dataset\n"
            "for name in ('saved', 'nested'):\n"
            "    try:\n        open_dataset('alice/' + name)\n"
            "    except DataError as error:\n        print(error)"
        )
        done = client(code, tmp_path, hub.environment(home=tmp_path / "hf"))
    assert "alice/saved: no dataset in a known layout, found dataset_dict.json, " in done.stdout
    assert "Nothing was downloaded." in done.stdout
    assert "load_from_disk as load" in done.stdout
    assert (
        "hf download alice/nested --repo-type dataset --include 'default/train/*' --local-dir pairs"
    ) in done.stdout
    kept = [path for path in (tmp_path / "hf").rglob("*") if path.is_file()]
    assert not [path for path in kept if b"x" * 100 in path.read_bytes()]


@pytest.mark.parametrize("offline", ["0", "1"])
def test_without_the_hub_its_copy_serves(offline: str, tmp_path: Path) -> None:
    structs(tmp_path / "set")
    with running() as hub:
        uploaded(hub, "alice/pairs", tmp_path / "set")
        environment = hub.environment(home=tmp_path / "hf")
        client(f"{OPEN}('alice/pairs')", tmp_path, environment)
    again = client(AGAIN, tmp_path, environment | {"HF_HUB_OFFLINE": offline})
    count, other, *_ = again.stdout.splitlines()
    assert count == "2"
    why = "HF_HUB_OFFLINE is set" if offline == "1" else "the Hub can't be reached"
    assert other.startswith(f"alice/other: no such file or folder here, and {why}")


class Download:
    """Stands in for the Hub's client."""

    def __init__(self, outcome: Path | Exception) -> None:
        self.outcome = outcome
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, repo_id: str, **options: Any) -> str:
        self.asked.append((repo_id, options))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return str(self.outcome)


def unreachable(*_: object, **__: object) -> None:
    raise ConnectionError


def hub_is(monkeypatch: pytest.MonkeyPatch, outcome: Path | Exception) -> Download:
    download = Download(outcome)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)
    return download


def allowed(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def test_name_revision_and_what_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    structs(tmp_path)
    download = hub_is(monkeypatch, tmp_path)
    dataset = open_dataset("alice/pairs", revision="v1")
    ((name, options),) = download.asked
    assert (dataset.name, name) == ("alice/pairs", "alice/pairs")
    assert (options["repo_type"], options["revision"]) == ("dataset", "v1")
    wanted = ["data/x.parquet", "a/b.txt", "a/b.png", "b.PNG", "c.Gif", "d.jfif", "e.avif", "f.jp2"]
    assert not [name for name in wanted if not allowed(name, options["allow_patterns"])]
    assert not allowed("model.safetensors", options["allow_patterns"])
    assert not any("py" in pattern for pattern in options["allow_patterns"])


def test_the_links_of_the_hubs_cache_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "datasets--alice--pairs" / "snapshots" / "0a1b"
    paths(snapshot)
    blobs = snapshot.parents[1] / "blobs"
    blobs.mkdir()
    for number, path in enumerate(sorted(snapshot.rglob("*.p*"))):
        path.rename(blobs / str(number))
        path.symlink_to(blobs / str(number))
    hub_is(monkeypatch, snapshot)
    assert contents(open_dataset("alice/pairs").pairs("train")) == EXPECTED
    assert contents(open_dataset(snapshot).pairs("train")) == EXPECTED
    write_file(blobs / "secret.png", png(9))
    refused_path(snapshot, "../../blobs/secret.png")
    for outside in (tmp_path / "other" / "blob", snapshot.parents[1] / "refs" / "main"):
        (snapshot / "images" / "0w.png").unlink()
        (snapshot / "images" / "0w.png").symlink_to(write_file(outside, b""))
        with pytest.raises(DataError, match="is outside the dataset"):
            open_dataset("alice/pairs").pairs("train")


def refused_path(snapshot: Path, path: str) -> None:
    """What the links of the cache may reach, a row may not."""
    rows = [{"prompt": "x", "chosen": path, "rejected": "images/0l.png"}]
    single = write_table(snapshot / "single" / "x.parquet", rows).rename(snapshot / "x.parquet")
    with pytest.raises(DataError, match="is outside the dataset"):
        open_dataset(single).pairs("train")
    single.unlink()


def refused(kind: type[errors.HfHubHTTPError], status: int) -> Exception:
    """What the client raises; its text holds what a server may have echoed."""

    response: Any = SimpleNamespace(headers={}, request=None, status_code=status)
    return kind(f"Bearer {TOKEN}", response=response)


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (
            refused(errors.RepositoryNotFoundError, 404),
            "no such file or folder here, and no such dataset",
        ),
        (refused(errors.GatedRepoError, 403), "/datasets/alice/pairs, then run `hf auth login`"),
        (refused(errors.RevisionNotFoundError, 404), "has no revision 'v1' on the Hub"),
        (refused(errors.HfHubHTTPError, 503), r"the Hub failed \(503: Bearer hf_…\)"),
        (errors.LocalEntryNotFoundError(TOKEN), "the Hub can't be reached"),
        (errors.OfflineModeIsEnabled(TOKEN), r"HF_HUB_OFFLINE is set, .* or give a folder"),
        (errors.HFValidationError(TOKEN), "not a name that the Hub allows"),
        (OSError(errno.ENOSPC, "No space left", TOKEN), "could not be stored here: No space"),
        (ConnectionError(TOKEN), "the Hub can't be reached"),
    ],
)
def test_failures_say_what_to_do_and_no_token(
    outcome: Exception, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_is(monkeypatch, outcome)
    with pytest.raises(DataError, match=text) as error:
        open_dataset("alice/pairs", revision="v1")
    assert str(error.value).startswith("alice/pairs: ")
    assert TOKEN not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


@pytest.mark.parametrize(
    "where", ["gone", "./alice/pairs", "/alice/pairs", "a/b/c", "data/x.parquet", "a" * 300]
)
def test_a_path_that_is_not_there_is_not_asked_of_the_hub(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    download = hub_is(monkeypatch, tmp_path)
    with pytest.raises(DataError, match="not found"):
        open_dataset(where)
    assert not download.asked


def test_a_folder_wins_over_a_name_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    structs(tmp_path / "alice" / "pairs")
    monkeypatch.chdir(tmp_path)
    download = hub_is(monkeypatch, tmp_path)
    assert contents(open_dataset(Path("alice/pairs")).pairs("train")) == EXPECTED
    assert not download.asked


def test_a_folder_has_no_revision(tmp_path: Path) -> None:
    structs(tmp_path)
    with pytest.raises(DataError, match="is on this machine and has no revision 'v1'"):
        open_dataset(tmp_path, revision="v1")
