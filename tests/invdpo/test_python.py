"""The package in Python: every block of docs/python.md, tables, a pair in a notebook, refusals."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import invdpo
from invdpo.curate.report.notebook import PairCard, pair_card
from invdpo.curate.report.pair_views import FactRow, ScoreRow
from invdpo.frames import annotation_frame, pair_frame, score_frame
from invdpo.schemas.config.load import dump_config
from invdpo.schemas.io.documents import read_file, read_json
from tests.workspaces import build

DOCS = Path(__file__).parents[2] / "docs"
EVIL = "<script>alert(1)</script>\" onload='x'"


def blocks() -> list[str]:
    """The code of the page, in order."""
    text = (DOCS / "python.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(tmp_path_factory.mktemp("python") / "work")


def test_the_notebook_holds_the_blocks_of_the_page() -> None:
    path = DOCS / "python.ipynb"
    cells = read_json(read_file(path), path, dict)["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert ["".join(cell["source"]) + "\n" for cell in code] == blocks()
    assert not any(cell["outputs"] for cell in code)


def test_every_block_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks():
        exec(block, names)
    assert [step.resumed for step in names["results"][:2]] == [4, 12]
    assert len(names["scores"]) == 12
    assert len(names["losses"]) == names["result"].steps == 2
    assert names["result"].output == Path("tuned")
    assert Path("tuned/README.md").read_text(encoding="utf-8").startswith("---\n")
    assert Path("tuned/evaluation/grid.png").is_file()
    card = names["work"].show(names["pairs"]["pair_id"][0])
    assert card._repr_html_().count("data:image/png;base64,") == 2
    printed = capsys.readouterr().out
    assert "score.scorer: unknown key; allowed: scorers, annotator" in printed
    assert printed.endswith("embedded 0.0\n1\n")


def test_there_are_ten_names_and_none_loads_torch() -> None:
    assert len(invdpo.__all__) == 10
    code = (
        "import sys, invdpo; [getattr(invdpo, name) for name in invdpo.__all__]; "
        "assert callable(invdpo.train); import invdpo.train as t; assert t is invdpo.train; "
        "assert not {'torch', 'pandas', 'diffusers', 'matplotlib'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Workspce'"):
        _ = invdpo.Workspce


def test_scores_stand_beside_each_other(tables: Any) -> None:
    frame = score_frame(tables).set_index("candidate_id")
    clip = tables.read_table(tables.scores_dir("clip")).to_pylist()
    assert len(frame) == len(clip) == 18
    assert all(frame.loc[row["candidate_id"], "clip"] == row["score"] for row in clip)
    assert set(frame["composition_all_right"]) == {0.0, 1.0}
    assert frame["clip_error"].isna().all()
    assert frame["prompt"].str.endswith(f"number {5}").sum() == 3


def test_annotations_are_graphs(tables: Any) -> None:
    frame = annotation_frame(tables)
    assert len(frame) == 18
    assert [item["label"] for item in frame["graph"][0]["items"]] == ["circle", "square"]
    assert [item["label"] for item in frame["shapes_graph"][0]["items"]] == ["circle"]


def test_pairs_have_both_sides(tables: Any) -> None:
    frame = pair_frame(tables)
    assert len(frame) == tables.read_table(tables.pairs_path).num_rows > 0
    difference = frame["chosen_composition"] - frame["rejected_composition"]
    assert (difference - frame["delta_composition"]).abs().max() < 1e-12
    assert (frame["chosen_seed"] != frame["rejected_seed"]).all()


def test_a_pair_is_shown_with_its_text_escaped(tables: Any) -> None:
    pair_id = pair_frame(tables)["pair_id"][0]
    view = pair_card(tables, pair_id, "shapes").view
    html = PairCard(
        view._replace(
            prompt=EVIL,
            split=EVIL,
            facts=(*view.facts, FactRow("attribute", EVIL, True, False)),
            scores=(*view.scores, ScoreRow(EVIL, 0.5, None)),
        )
    )._repr_html_()
    assert html.count("&lt;script&gt;") == 4
    assert "<script" not in html
    assert "'x'" not in html
    assert "✓ right" in html
    assert "✗ wrong" in html
    with pytest.raises(
        invdpo.DataError,
        match=r"'0': no pair has this id; the column `pair_id` of pairs\(\) lists all \d+",
    ):
        pair_card(tables, "0", "shapes")


def test_what_is_wrong_is_told(tables: Any) -> None:
    with pytest.raises(invdpo.ConfigError, match="found 'draw'; allowed: prompts, generate, ann"):
        invdpo.Workspace(tables.root).run("draw")
    with pytest.raises(
        invdpo.ConfigError, match="config: found dict; expected a mapping of sections"
    ):
        invdpo.Workspace(tables.root, {"num_prompts": 8})  # type: ignore[dict-item]


def test_what_a_folder_names_is_asked_about(tmp_path: Path) -> None:
    config = invdpo.Config.model_validate({"generate": {"model": "lab/model"}})
    file = tmp_path / "invdpo.yaml"
    file.write_text(dump_config(config), encoding="utf-8")
    with pytest.raises(invdpo.ConfigError, match=r"generate\.model: 'lab/model'"):
        invdpo.Workspace(tmp_path).run("generate")
    with pytest.raises(invdpo.WorkspaceError, match="First run: invdpo curate prompts"):
        invdpo.Workspace(tmp_path, file).run("generate")
    with pytest.raises(invdpo.WorkspaceError, match="First run: invdpo curate prompts"):
        invdpo.Workspace(tmp_path).run("generate")
