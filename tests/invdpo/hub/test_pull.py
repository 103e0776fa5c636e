"""`invdpo curate pull`: the same workspace again, or nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.curate import steps
from invdpo.curate.runner import RunOptions
from invdpo.curate.storage.parts import read_header, read_part
from invdpo.curate.workspace import Workspace
from invdpo.hub.errors import HubError
from invdpo.schemas import DataError
from invdpo.schemas.config import Config
from invdpo.schemas.config.pair import PairConfig
from tests.hub_http import TOKEN
from tests.hub_server import Fault
from tests.invdpo.hub.shelf import Shelf, pull, push, tables
from tests.workspaces import CONFIG

SHARD = "data/train-00000-of-00001.parquet"


def test_every_table_comes_back_part_by_part(shelf: Shelf, tmp_path: Path) -> None:
    result = pull(tmp_path / "back")
    assert (result.pairs, result.workspace, result.candidates) == (6, True, False)
    old, new = tables(shelf.work), tables(tmp_path / "back")
    assert old.keys() == new.keys()
    for name, path in old.items():
        assert pq.read_table(new[name]).equals(pq.read_table(path)), name
        if not name.startswith("dataset/"):
            assert read_header(new[name]) == read_header(path), name
    for name in ("invdpo.yaml", "pairs.report.json", "dataset/README.md"):
        same = [(root / name).read_text() for root in (shelf.work, tmp_path / "back")]
        assert same[0].split() == same[1].split()
    hidden = [path.name for path in (tmp_path / "back").rglob(".*")]
    assert hidden == []
    assert not (tmp_path / ".back.pull").exists()
    (tmp_path / "plain").touch()
    files = [path for path in tmp_path.rglob("back/**/*") if path.is_file()]
    assert {path.stat().st_mode for path in files} == {(tmp_path / "plain").stat().st_mode}


def candidates(root: Path) -> dict[str, Any]:
    rows = [
        row
        for part in sorted((root / "candidates").glob("part-*.parquet"))
        for row in read_part(part).to_pylist()
    ]
    return {row["candidate_id"]: row for row in rows}


@pytest.mark.parametrize("every", [False, True])
def test_pictures(shelf: Shelf, tmp_path: Path, every: bool) -> None:
    push(shelf.work, "lab/more", candidates=every)
    pull(tmp_path / "back", "lab/more")
    old, new = candidates(shelf.work), candidates(tmp_path / "back")
    assert list(old) == list(new)
    pairs = pq.read_table(shelf.work / "pairs.parquet").to_pylist()
    paired = {row[f"{side}_id"] for row in pairs for side in ("chosen", "rejected")}
    assert 0 < len(paired) < len(old)
    for name, row in old.items():
        kept = every or name in paired
        assert new[name] == row | ({} if kept else {"image": None})


def test_pairs_can_be_cut_again_without_scoring_again(shelf: Shelf, tmp_path: Path) -> None:
    """The same configuration is done before; a stricter one gives the pairs it gives here."""
    pull(tmp_path / "back")
    shutil.copytree(shelf.work, tmp_path / "here")
    back, here = Workspace(tmp_path / "back"), Workspace(tmp_path / "here")
    same = steps.pair(back, CONFIG, RunOptions(progress=False))
    assert (same.made, same.resumed) == (0, 6)
    margins = sorted(pq.read_table(here.pairs_path)["margin"].to_pylist())
    strict = Config(pair=PairConfig(min_margin=margins[2]))
    for ws in (back, here):
        assert steps.pair(ws, strict, RunOptions(overwrite=True, progress=False)).made == 4
    for name in ("pairs.parquet", SHARD.replace("data", "dataset/data")):
        assert pq.read_table(back.root / name).equals(pq.read_table(here.root / name))


def test_a_pulled_workspace_is_the_same_set(shelf: Shelf, tmp_path: Path) -> None:
    pull(tmp_path / "back")
    commits = len(shelf.hub.dataset("lab/set").messages)
    push(tmp_path / "back")
    assert len(shelf.hub.dataset("lab/set").messages) == commits


def test_a_set_that_was_pushed_alone(shelf: Shelf, tmp_path: Path) -> None:
    push(shelf.work / "dataset", "lab/alone")
    assert not pull(tmp_path / "back", "lab/alone").workspace
    assert {p.name for p in (tmp_path / "back").iterdir()} == {"dataset"}


def test_an_older_commit(shelf: Shelf, tmp_path: Path) -> None:
    repo = shelf.hub.dataset("lab/set")
    first, card = repo.commit_of("main"), repo.files()["README.md"]
    repo.put("main", {"README.md": card + b"later"}, "by hand")
    pull(tmp_path / "new")
    assert (tmp_path / "new/dataset/README.md").read_bytes() == card + b"later"
    assert pull(tmp_path / "old", revision=first).commit == first
    assert (tmp_path / "old/dataset/README.md").read_bytes() == card


FAULTS = [
    (
        Fault("info", status=401),
        "the Hub refused the token (401): run `hf auth login`, or set HF_TOKEN.",
    ),
    (Fault("info", status=403, text="Gated"), "no read access (Gated)"),
    (Fault("info", status=429), "the Hub's rate limit is reached (429)"),
    (Fault("tree", status=500, times=9), "the Hub failed (500"),
    (Fault("resolve", status=403, at=3, text="No"), "no read access (No)"),
    (Fault("resolve", status=500, at=3, times=99), "the Hub failed (500"),
    (Fault("lfs-get", "halve", times=99), "the Hub can't be reached at http://127.0.0.1:"),
    (Fault("lfs-get", "garble"), "differs from that of the pushed file"),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS)
def test_a_pull_that_fails_leaves_nothing_and_goes_on(
    shelf: Shelf, tmp_path: Path, fault: Fault, expected: str
) -> None:
    shelf.hub.asked.clear()
    shelf.hub.faults = [fault]
    with pytest.raises(HubError) as error:
        pull(tmp_path / "back")
    assert expected in str(error.value)
    assert TOKEN not in str(error.value)
    assert not (tmp_path / "back").exists()
    shelf.hub.faults = []
    pull(tmp_path / "back")
    assert tables(tmp_path / "back").keys() == tables(shelf.work).keys()


def test_what_has_come_is_not_fetched_again(shelf: Shelf, tmp_path: Path) -> None:
    shelf.hub.asked.clear()
    shelf.hub.faults = [Fault("lfs-get", status=403, at=5)]
    with pytest.raises(HubError):
        pull(tmp_path / "back")
    shelf.hub.faults = []
    pull(tmp_path / "back")
    large = sum(blob.lfs for blob in shelf.hub.dataset("lab/set").tree("main").values())
    assert shelf.hub.asked.count("lfs-get") == large + 1


def test_a_shard_that_is_cut_goes_on_where_it_was(shelf: Shelf, tmp_path: Path) -> None:
    shelf.hub.faults = [Fault("lfs-get", "halve", at=1 + shelf.hub.asked.count("lfs-get"))]
    pull(tmp_path / "back")
    assert tables(tmp_path / "back").keys() == tables(shelf.work).keys()


def test_what_was_fetched_and_then_spoilt_is_found(shelf: Shelf, tmp_path: Path) -> None:
    shelf.hub.asked.clear()
    shelf.hub.faults = [Fault("lfs-get", status=403, at=5)]
    with pytest.raises(HubError):
        pull(tmp_path / "back")
    shelf.hub.faults = []
    kept = next((tmp_path / ".back.pull").rglob("*.parquet"))
    content = kept.read_bytes()
    kept.write_bytes(content[:-1] + b"?")
    with pytest.raises(HubError, match="differs from that of the pushed file"):
        pull(tmp_path / "back")
    pull(tmp_path / "back")


def test_a_repository_that_was_changed_by_hand(shelf: Shelf, tmp_path: Path) -> None:
    repo = shelf.hub.dataset("lab/set")
    first = repo.commit_of("main")
    repo.put("main", {SHARD: b"other bytes"}, "by hand")
    with pytest.raises(HubError, match=f"{SHARD} was replaced since the last push"):
        pull(tmp_path / "back")
    tree = {p: b for p, b in repo.tree(first).items() if p != SHARD}
    repo.advance("main", tree, "lost")
    with pytest.raises(HubError, match=f"{SHARD} is missing since the last push"):
        pull(tmp_path / "back")
    assert pull(tmp_path / "back", revision=first).commit == first


@pytest.mark.parametrize("name", ["../evil", "/evil", "data/../../evil", "data/.x", ".git/x", "x"])
def test_names_that_lead_elsewhere(shelf: Shelf, tmp_path: Path, name: str) -> None:
    repo = shelf.hub.dataset("lab/set")
    manifest = json.loads(repo.files()["invdpo.json"])
    manifest["files"][name] = {"sha256": "0" * 64, "bytes": 1}
    repo.put("main", {"invdpo.json": json.dumps(manifest).encode(), name: b"e"}, "evil")
    with pytest.raises(HubError, match="which `invdpo curate push` never writes"):
        pull(tmp_path / "place" / "back")
    assert not (tmp_path / "place/back").exists()


def test_what_is_not_there(shelf: Shelf, tmp_path: Path) -> None:
    shelf.hub.add("datasets", "lab/other", **{"README.md": b"card"})
    for repo, revision, expected in (
        ("lab/none", None, "no such dataset on the Hub, or no access"),
        ("lab/set", "v9", "no such dataset on the Hub with a revision 'v9'"),
        ("lab/other", None, "not pushed by `invdpo curate push`"),
    ):
        with pytest.raises(HubError, match=expected):
            pull(tmp_path / "back", repo, revision)


def test_a_place_that_is_taken(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "back").mkdir()
    (tmp_path / "back/mine.txt").write_text("mine")
    with pytest.raises(DataError, match="already exists"):
        pull(tmp_path / "back")
    (tmp_path / "back/mine.txt").unlink()
    pull(tmp_path / "back")


def test_the_command(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["curate", "pull", "lab/set", "back"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("6 pairs, ")
    assert "dataset and workspace in back" in result.stdout
    assert "Next: invdpo train back/dataset" in result.stderr
    again = CliRunner().invoke(app, ["curate", "pull", "lab/set", "back", "--json"])
    assert again.exit_code == 1
    assert json.loads(again.stdout)["error"]["kind"] == "DataError"


def test_pairs_of_pictures_that_were_not_pushed(shelf: Shelf, tmp_path: Path) -> None:
    """Other weights choose other candidates: told plainly, and the old set stays."""
    pull(tmp_path / "back")
    ws = Workspace(tmp_path / "back")
    before = (ws.dataset_dir / SHARD).read_bytes()
    other = Config(pair=PairConfig(weights={"clip": 1.0}, min_margin=0.1))
    with pytest.raises(DataError, match=r"Some candidates have no image(.|\n)*--with-candidates"):
        steps.pair(ws, other, RunOptions(overwrite=True, progress=False))
    assert (ws.dataset_dir / SHARD).read_bytes() == before
    push(shelf.work, candidates=True)
    pull(tmp_path / "whole")
    whole = Workspace(tmp_path / "whole")
    assert steps.pair(whole, other, RunOptions(overwrite=True, progress=False)).made > 0
