"""Named sets of pairs: beside each other, each with its options, and none of them lost unasked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.curate.dataset.folder import DatasetFolder
from invdpo.curate.report.sets import compare_sets, write_comparison
from invdpo.curate.storage.parts import maker, read_header
from invdpo.curate.workspace import Workspace
from invdpo.hub.source import find_dataset
from invdpo.schemas import ConfigError, DataError
from invdpo.schemas.tables import REVIEWS
from tests.workspaces import built, work

__all__ = ["built", "work"]


def invdpo(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def cut(name: str, *words: object) -> Workspace:
    result = invdpo("curate", "pair", "work", "--name", name, *words)
    assert result.exit_code == 0, result.output
    return Workspace("work", name)


def stored(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file() and "pair-sets" not in p.parts)
    return {str(path): path.read_bytes() for path in files if path.name != ".lock"}


def pairs(ws: Workspace) -> int:
    return read_header(ws.pairs_path).rows


def test_sets_lie_side_by_side_and_leave_the_unnamed_one_alone(work: Path) -> None:
    before = stored(work)
    every, best = cut("every", "--policy", "all"), cut("best.1")
    assert pairs(every) > pairs(best)
    assert every.set_names() == ["best.1", "every"]
    assert stored(work) == before
    assert every.read_config().pair.policy == "all"
    assert best.read_config().pair == Workspace(work).read_config().pair
    again = invdpo("curate", "pair", "work", "--name", "every", "--json")
    (step,) = json.loads(again.stdout)["steps"]
    assert (step["made"], step["resumed"]) == (0, pairs(every))


def test_a_set_with_other_options_is_made_again_unasked(work: Path) -> None:
    count = pairs(cut("set", "--policy", "all"))
    assert pairs(cut("set", "--max-per-prompt", 1)) < count
    refused = invdpo("curate", "pair", "work", "--policy", "all")
    assert refused.exit_code == 1
    assert "--overwrite" in refused.output


def review(ws: Workspace) -> None:
    rows = [{"pair_id": "some", "decision": "keep"}]
    pq.write_table(pa.Table.from_pylist(rows, REVIEWS), ws.reviews_path)


def test_a_set_in_use_is_replaced_only_when_asked(work: Path) -> None:
    ws = cut("set")
    ws.note_push("lab/set")
    review(ws)
    before = ws.pairs_path.read_bytes()
    refused = invdpo("curate", "pair", "work", "--name", "set", "--policy", "all")
    assert refused.exit_code == 1
    why = "in use: 1 decision of reviewers; it was pushed to lab/set."
    assert why in refused.output
    assert "pair.policy" in refused.output
    assert ws.read_config().pair.policy != "all"
    cut("set")  # nothing has changed, so nothing is asked
    assert ws.pairs_path.read_bytes() == before
    cut("set", "--policy", "all", "--overwrite")
    assert (ws.pushed_to(), ws.reviews_path.exists()) == (None, True)


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", ".a", "a.", "a b", "-a", "a" * 65, "ä"])
def test_a_name_that_is_no_safe_file_name(name: str) -> None:
    with pytest.raises(ConfigError, match=r"--name: found .* small letters, digits"):
        Workspace("work", name)


def test_commands_know_the_name(work: Path) -> None:
    ws = cut("set", "--policy", "all")
    for words in (
        ["curate", "card"],
        ["curate", "export", "--to", "preference", "--output", "out"],
        ["curate", "review", "--dry-run"],
        ["report", "--compare"],
    ):
        named = [] if words[-1] == "--compare" else ["--name", "set"]
        result = invdpo(*words, "work", *named)
        assert result.exit_code == 0, result.output
    assert DatasetFolder(Path("out")).count_pairs("train") == DatasetFolder(
        ws.dataset_dir
    ).count_pairs("train")
    assert "# work-set" in (ws.dataset_dir / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        ("curate", "push", "work", "--repo", "a/b"),
        ("train", "work", "--output", "tuned"),
    ],
)
def test_of_a_name_that_is_not_there_the_others_are_listed(
    work: Path, words: tuple[str, ...]
) -> None:
    for name in ("loose", "strict"):
        (work / "pair-sets" / name).mkdir(parents=True)
        shutil.copy(work / "pairs.report.json", work / "pair-sets" / name)
    result = invdpo(*words, "--name", "lose")
    assert result.exit_code == 1
    assert "no set of pairs is called lose; there are: loose, strict." in result.output
    assert "invdpo curate pair work --name lose" in result.output


def test_a_set_is_known_by_its_folder(work: Path) -> None:
    ws = cut("set")
    by_set, by_itself = map(DatasetFolder.find, (ws.set_dir, ws.dataset_dir))
    assert by_set.workspace is not None
    assert by_itself.workspace is None
    for found in (by_set.workspace, by_itself.enclosing_workspace):
        assert found is not None
        assert (found.root, found.name) == (work, "set")
    assert maker(ws.dataset_dir / "data") == "invdpo curate pair work --name set"
    # else a second push would replace the first in one repository, as a version of it
    unnamed, named = find_dataset(work), find_dataset(ws.set_dir)
    assert named.fingerprint["set"] == {"name": "set"}
    assert "set" not in unnamed.fingerprint


def test_a_comparison_counts_what_sets_share(work: Path) -> None:
    every = cut("every", "--policy", "all")
    page = compare_sets(Workspace(work))
    total, shared = pairs(Workspace(work)), page.shared[0][1]
    assert page.labels == ["(no name)", "every"]
    assert page.shared == [[total, total], [total, pairs(every)]]
    assert shared == total < pairs(every)
    assert page.turned == [[0, 0], [0, 0]]
    assert page.options() == {"policy": [None, "all"]}
    for kind in page.strata().values():
        assert sum(shares[1] or 0 for shares in kind.values()) == pytest.approx(1)
    path, _ = write_comparison(Workspace(work), Path("page"))
    text = path.read_text(encoding="utf-8")
    assert f'<th scope="row">every</th><td class="num">{total}</td>' in text
    shutil.copy(work / "pairs.report.json", every.report_path)  # of another pairing
    page = compare_sets(Workspace(work))
    assert page.shared[0][1] is page.shared[1][1] is None


def test_one_set_is_no_comparison(work: Path) -> None:
    with pytest.raises(DataError, match=r"two or more sets of pairs; found: \(no name\)"):
        compare_sets(Workspace(work))
