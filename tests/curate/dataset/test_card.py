"""The card of a written dataset: its facts, and what a person made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.curate.dataset.card import dataset_facts, deciding_options, renew_card
from invdpo.curate.dataset.folder import DatasetFolder
from invdpo.curate.storage.parts import write_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError, WorkspaceError
from invdpo.schemas.config import Config
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.ids import content_id
from invdpo.schemas.tables import PROMPTS
from tests.curate.dataset_files import MADE_BY, pairs, table, workspace, write
from tests.hub_repos import card_errors


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return workspace(tmp_path / "work")


def test_facts_come_from_the_files(ws: Workspace) -> None:
    facts = dataset_facts(DatasetFolder(write(ws)))
    assert (facts["num_train"], facts["num_validation"], facts["images"]) == (24, 6, 60)
    assert facts["scorers"] == ["clip", "composition"]
    assert ("images", "m", "r") in facts["sources"]
    assert ("scene graphs", "shapes", None) in facts["sources"]
    assert [c["name"] for c in facts["features"]][:3] == ["pair_id", "prompt", "chosen"]


def test_the_card_tells_the_report_and_shows_its_plots(ws: Workspace) -> None:
    ws.report_path.write_text(json.dumps({"prompts": {"dropped": {"margin": 3}}}))
    plot = ws.root / "report" / "rank_correlation.png"
    plot.parent.mkdir()
    plot.write_bytes(b"a plot")
    page = ws.root / "report" / "index.html"
    page.write_text(f"a page of {content_id(MADE_BY)}")
    folder = write(ws)
    card = (folder / "README.md").read_text()
    assert "| margin | 3 |" in card
    assert "![rank correlation](assets/rank_correlation.png)" in card
    assert [p.name for p in (folder / "assets").iterdir()] == ["rank_correlation.png"]
    assert card_errors(card, "dataset") == []


def test_plots_and_figures_of_another_pairing_are_left_out(ws: Workspace) -> None:
    """After `pair --overwrite`, or one that fell short, the card showed those of other pairs."""
    ws.report_path.write_text(json.dumps({"config": {}, "prompts": {"dropped": {"margin": 3}}}))
    plot, page = (ws.root / "report" / name for name in ("margins.png", "index.html"))
    plot.parent.mkdir()
    plot.write_bytes(b"a plot")
    page.write_text(f"a page of {content_id(MADE_BY)}")
    folder = write(ws, made_by={**MADE_BY, "pair": {"min_margin": 1}})
    assert not (folder / "assets").exists()
    card = (folder / "README.md").read_text()
    assert "margins.png" not in card
    assert "| margin | 3 |" not in card
    page.write_text(f"a page of {content_id({**MADE_BY, 'pair': {'min_margin': 1}})}")
    renew_card(ws, DatasetConfig())
    assert [path.name for path in (folder / "assets").iterdir()] == ["margins.png"]
    page.write_text("a page of other pairs again")
    renew_card(ws, DatasetConfig())
    assert not list((folder / "assets").iterdir())


def test_plots_made_later_come_with_a_renewed_card(ws: Workspace) -> None:
    folder = write(ws)
    assert "## Statistics" not in (folder / "README.md").read_text()
    ws.report_path.write_text(json.dumps({"margins": {"mean": 2.0}}))
    (ws.root / "invdpo.yaml").write_text("pair: {min_margin: 1.25}\n")
    (folder / "README.md").unlink()
    renew_card(ws, DatasetConfig(license="cc0-1.0"))
    card = (folder / "README.md").read_text()
    assert "| 2.000 |" in card
    assert "min_margin: 1.25" in card
    assert "\nlicense: cc0-1.0\n" in card


def test_what_a_person_wrote_stays_when_the_set_is_written_again(ws: Workspace) -> None:
    readme = write(ws, pairs(3)) / "README.md"
    mine = readme.read_text().replace("\n# work\n", "\n# Shapes\n\nFor my thesis.\n")
    readme.write_text(mine.replace("language:", "arxiv: 1234.5678\nlanguage:"))
    (readme.parent / "LICENSE").write_text("theirs")
    (readme.parent / "notes").mkdir()
    (readme.parent / "notes" / "a.txt").write_text("a note")
    card = (write(ws) / "README.md").read_text()
    assert "# Shapes\n\nFor my thesis." in card
    assert "arxiv: 1234.5678" in card
    assert "| pairs | 24 to train on, 6 for validation |" in card
    assert (readme.parent / "LICENSE").read_text() == "theirs"
    assert (readme.parent / "notes" / "a.txt").read_text() == "a note"


def test_a_broken_card_is_told_before_anything_is_written(ws: Workspace) -> None:
    readme = write(ws, pairs(3)) / "README.md"
    readme.write_text("---\n: [\n---\n# Mine\n")
    files = sorted((readme.parent / "data").iterdir())
    with pytest.raises(DataError, match=r"dataset/README.md: the head is not YAML \(line"):
        write(ws)
    assert sorted((readme.parent / "data").iterdir()) == files
    assert readme.read_text() == "---\n: [\n---\n# Mine\n"


def test_a_card_needs_a_data_set(ws: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="invdpo curate pair"):
        renew_card(ws, DatasetConfig())


def test_the_command_names_the_card(ws: Workspace) -> None:
    write(ws)
    done = CliRunner().invoke(app, ["curate", "card", str(ws.root), "--license", "mit"])
    assert done.exit_code == 0, done.output
    assert Path(done.stdout.strip()) == ws.dataset_dir / "README.md"
    assert "\nlicense: mit\n" in (ws.dataset_dir / "README.md").read_text()


def test_a_data_set_of_a_remote_workspace() -> None:
    ws = workspace("memory://written/work")
    folder = write(ws, pairs(3))
    write(ws)
    names = sorted(path.name for path in (folder / "data").iterdir())
    assert names == ["train-00000-of-00001.parquet", "validation-00000-of-00001.parquet"]
    assert dataset_facts(DatasetFolder(folder))["num_train"] == 24
    assert "| pairs | 24 to train on" in (folder / "README.md").read_text()
    renew_card(ws, DatasetConfig(license="mit"))
    assert "\nlicense: mit\n" in (folder / "README.md").read_text()


def test_the_configuration_tells_no_place_and_nothing_idle() -> None:
    values = {
        "generate": {"model": "/somewhere/private/sdxl", "device": "cuda:1"},
        "score": {"scorers": ["clip"], "pickscore_model": "someone/else"},
    }
    options = deciding_options(Config.model_validate(values))
    assert options["generate"]["model"] == "sdxl"
    assert "device" not in options["generate"]
    assert options["score"]["clip_model"] == "embedded"
    assert not {"pickscore_model", "vqascore_model"} & options["score"].keys()
    assert "hub_split" not in options["prompts"]


def test_card_counts_prompts_of_both_splits(tmp_path: Path) -> None:
    """The sentence is about the rows, whoever split them."""
    ws = workspace(tmp_path / "work")
    prompts = [
        {"prompt_id": f"p{n}", "prompt": f"image {n // 2}", "graph": None} for n in range(30)
    ]
    write_part(ws.prompts_path, table(prompts, PROMPTS), {})
    text = (write(ws) / "README.md").read_text(encoding="utf-8")
    assert "No prompt, and no group of related prompts, is in both splits." in text
    write(ws, pairs(30, held=5))
    text = (ws.dataset_dir / "README.md").read_text(encoding="utf-8")
    assert "1 of the validation prompts, or their compositions, are in train" in text
