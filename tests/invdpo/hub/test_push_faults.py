"""Pushes that fail: told in plain words, nothing half-done to be seen; the same push goes on."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from invdpo.hub.errors import HubError
from invdpo.hub.push import PushOptions, PushResult, push_set
from invdpo.schemas import DataError, InvdpoError
from tests.hub_http import READER, TOKEN
from tests.hub_server import Fault, HubServer
from tests.locks import held_elsewhere
from tests.workspaces import build

FILES = 12
ALONE = 4
"""Files with the workspace, and of the set alone."""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("built") / "work").root


@pytest.fixture
def own(work: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(work, tmp_path / "own"))


def push(path: Path, repo: str = "lab/set", **options: Any) -> PushResult:
    return push_set(path, repo, PushOptions(**options), note=lambda _: None)


FAULTS = [
    (Fault("whoami", status=401), "the Hub refused the token (401)"),
    (Fault("create", status=403, text="Forbidden"), "no write access (Forbidden)"),
    (Fault("create", status=429, text="Slow"), "the Hub's rate limit is reached (429)"),
    (Fault("lfs-batch", status=403, text="No"), "no write access (No)"),
    (Fault("lfs-put", status=403, text="Expired", times=9), "no write access (Expired)"),
    (Fault("lfs-put", "cut", times=99), "the Hub can't be reached at http://127.0.0.1:"),
    (Fault("lfs-put", status=500, times=99), "the Hub failed (500"),
    (Fault("commit", status=409, text="Conflict"), "changed by someone else in the meantime"),
    (Fault("commit", status=412, text="Behind"), "changed by someone else in the meantime"),
    (Fault("commit", status=429, text="Slow"), "the Hub's rate limit is reached (429)"),
    (Fault("commit", status=500, text="Oops"), "the Hub failed (500: Oops)"),
    (Fault("commit", status=403, text=f"no {TOKEN}"), "no write access (no hf_…)"),
    (Fault("tree", status=500, times=9), "the Hub failed (500"),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS)
def test_what_goes_wrong_is_told_and_the_same_push_goes_on(
    hub: HubServer, work: Path, fault: Fault, expected: str
) -> None:
    hub.faults = [fault]
    with pytest.raises(HubError) as error:
        push(work / "dataset")
    assert expected in str(error.value)
    assert TOKEN not in str(error.value)
    repo = hub.repo("datasets", "lab/set")
    assert repo is None or len(repo.files()) in (0, ALONE)
    hub.faults = []
    push(work / "dataset")
    assert len(hub.dataset("lab/set").files()) == ALONE


def test_what_has_arrived_is_not_sent_again(
    hub: HubServer, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is cut in the middle of a shard, for good; the next push sends the rest."""
    puts: Counter[str] = Counter()
    answer = hub.lfs_put

    def counted(asked: Any) -> Any:
        puts[asked.parts["oid"]] += 1
        return answer(asked)

    monkeypatch.setattr(hub, "lfs_put", counted)
    hub.faults = [Fault("lfs-put", "cut", at=4, times=99)]
    with pytest.raises(HubError):
        push(work)
    arrived = set(hub.objects)
    assert len(arrived) == 3
    assert hub.dataset("lab/set").files() == {}
    hub.faults = []
    push(work)
    large = {b.sha256 for b in hub.dataset("lab/set").tree("main").values() if b.lfs}
    assert arrived < large
    assert puts == Counter(dict.fromkeys(large, 1))


def test_a_shard_that_is_cut_once_goes_through(hub: HubServer, work: Path) -> None:
    hub.faults = [Fault("lfs-put", "cut"), Fault("preupload", status=503)]
    push(work)
    assert len(hub.dataset("lab/set").files()) == FILES


def test_other_bytes_than_were_sent_are_found(hub: HubServer, work: Path) -> None:
    hub.faults = [Fault("lfs-put", "garble")]
    with pytest.raises(HubError, match=r"parquet did not arrive intact: the Hub lists another"):
        push(work)


def test_a_push_by_someone_else_meanwhile(
    hub: HubServer, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(work)
    repo, commit = hub.dataset("lab/set"), hub.commit
    repo.put("main", {"data/train-00000-of-00001.parquet": b"x"}, "spoilt")

    def late(asked: Any) -> Any:
        if "theirs" not in repo.messages:
            repo.put("main", {"a.txt": b"a"}, "theirs")
        return commit(asked)

    monkeypatch.setattr(hub, "commit", late)
    with pytest.raises(HubError, match="changed by someone else in the meantime"):
        push(work)
    assert repo.files()["data/train-00000-of-00001.parquet"] == b"x"
    push(work)
    assert set(repo.files()) >= {"a.txt", "invdpo.json"}


@pytest.mark.parametrize(
    ("token", "repo", "expected"),
    [
        ("", "lab/set", "not logged in to the Hub: run `hf auth login`"),
        ("hf_wrongwrongwrong", "lab/set", "the Hub refused the token (401)"),
        (READER, "lab/set", "the token of alice has only read access"),
        (TOKEN, "mallory/set", "alice has write access to alice or lab, not to mallory"),
        (TOKEN, "set", "found 'set'; expected OWNER/NAME"),
        (TOKEN, "lab/a..b", "expected OWNER/NAME"),
        (TOKEN, "lab/set.git", "expected OWNER/NAME"),
    ],
)
def test_who_may_not_push_learns_it_before_anything_is_sent(
    hub: HubServer,
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
    token: str,
    repo: str,
    expected: str,
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    for dry_run in (True, False):
        with pytest.raises(InvdpoError) as error:
            push(work, repo, dry_run=dry_run)
        assert expected in str(error.value)
        assert not token or token not in str(error.value)
    assert hub.repos == {}
    assert not {"create", "lfs-put", "commit"} & set(hub.asked)


def test_a_request_to_someone_elses_set(hub: HubServer, work: Path, own: Path) -> None:
    """Whoever may not write to a set can still propose a change of it."""
    push(work)
    repo = hub.repos["datasets", "mallory/set"] = hub.repos.pop(("datasets", "lab/set"))
    repo.name = "mallory/set"
    (own / "dataset/README.md").write_text((own / "dataset/README.md").read_text() + "\nMore.\n")
    push(own, "mallory/set", create_pr=True)
    assert b"More." in repo.files("refs/pr/1")["README.md"]
    assert b"More." not in repo.files()["README.md"]


def test_a_card_that_the_hub_refuses(hub: HubServer, own: Path) -> None:
    path = own / "dataset/README.md"
    path.write_text(path.read_text().replace("license: ", "license: my own #"))
    with pytest.raises(HubError, match=r"refused: .*license"):
        push(own)
    assert hub.repos == {}


def spoil(work: Path, what: str) -> Path:
    """A workspace that is not fit to be pushed."""
    data = work / "dataset/data"
    if what == "no set":
        shutil.rmtree(work / "dataset")
    elif what == "no card":
        (work / "dataset/README.md").unlink()
    elif what == "no features":
        card = work / "dataset/README.md"
        card.write_text(card.read_text().replace("dataset_info", "other"))
    elif what == "shard missing":
        shard = data / "train-00000-of-00001.parquet"
        shard.rename(data / "train-00000-of-00002.parquet")
    elif what == "shard damaged":
        (data / "train-00000-of-00001.parquet").write_bytes(b"PAR1")
    elif what == "other pairs":
        (data / "validation-00000-of-00001.parquet").unlink()
    return work / "none" if what == "nothing" else work / "scores" if what == "no" else work


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("nothing", "no such folder"),
        ("no", "no dataset: neither data/"),
        ("no set", "this workspace has no dataset yet. First run: invdpo curate pair"),
        ("no card", "README.md: the card is missing"),
        ("no features", "its YAML head lacks dataset_info"),
        ("shard missing", "found 1 shards of train; their names say 2"),
        ("shard damaged", "train-00000-of-00001.parquet: damaged"),
        ("other pairs", "not made from the pairs in pairs.parquet"),
    ],
)
def test_what_is_not_whole_is_not_pushed(
    hub: HubServer, own: Path, what: str, expected: str
) -> None:
    with pytest.raises(DataError) as error:
        push(spoil(own, what))
    assert expected in str(error.value)
    assert hub.asked == []


def test_a_newer_version_pushed_it(hub: HubServer, work: Path) -> None:
    push(work)
    repo = hub.dataset("lab/set")
    newer = repo.files()["invdpo.json"].replace(b'"format": 1', b'"format": 2')
    repo.put("main", {"invdpo.json": newer}, "newer")
    with pytest.raises(HubError, match="which is newer than this version"):
        push(work)
    repo.put("main", {"invdpo.json": b"[]"}, "spoilt")
    with pytest.raises(HubError, match=r"its invdpo.json can't be read"):
        push(work)


def test_a_workspace_at_work_is_left_alone(hub: HubServer, own: Path) -> None:
    from invdpo.curate.workspace import Workspace

    refused = pytest.raises(InvdpoError, match="is working on this workspace")
    with held_elsewhere(Workspace(own).lock()), refused:
        push(own)
