"""The embedded world's judges are refused for another model's images unless somebody chose them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.curate import steps
from invdpo.curate.annotators.judges import check_judges, unchosen
from invdpo.curate.runner import RunOptions
from invdpo.curate.workspace import Workspace
from invdpo.schemas import ConfigError, ModelError, PluginError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import dump_config, load_config, resolve_config
from invdpo.schemas.config.presets import preset_names, preset_path
from tests.workspaces import build

BOTH = ["annotate", "score"]
DRY = RunOptions(dry_run=True)
ALL_FLAGS = ["--annotators shapes", "--annotator shapes", "--clip-model embedded"]


def invdpo(*words: object) -> Any:
    return CliRunner().invoke(app, [*map(str, words)])


def test_defaults_are_nobodys_choice() -> None:
    assert unchosen(Config(), BOTH) == ALL_FLAGS
    assert unchosen(Config(), ["annotate"]) == ALL_FLAGS[:1]
    assert unchosen(Config(), ["score"]) == ALL_FLAGS[1:]
    assert unchosen(Config(), ["generate"]) == []


@pytest.mark.parametrize(
    ("given", "left_open"),
    [
        ({"annotate": {"annotators": ["shapes"]}, "score": {"clip_model": "embedded"}}, []),
        ({"score": {"annotator": "shapes"}}, ALL_FLAGS[2:]),
        ({"annotate": {"annotators": ["detector"]}}, ALL_FLAGS[1:]),
        ({"score": {"scorers": ["clip"]}}, ["--annotators shapes", "--clip-model embedded"]),
        ({"score": {"scorers": ["nsfw"]}}, ["--annotators shapes"]),
        (
            {"score": {"scorers": ["remote"], "remote_needs": ["observed_graph"]}},
            ["--annotators shapes", "--annotator shapes"],
        ),
    ],
)
def test_what_somebody_names_is_chosen(given: dict[str, Any], left_open: list[str]) -> None:
    assert unchosen(load_config(None, given), BOTH) == left_open


def test_tables_show_that_judges_were_chosen_before() -> None:
    assert unchosen(Config(), BOTH, {"shapes", "clip"}) == []
    assert unchosen(Config(), BOTH, {"shapes"}) == ALL_FLAGS[2:]


def test_the_record_of_a_workspace_chooses_nothing_by_its_defaults(tmp_path: Path) -> None:
    """It holds every option, also those that nobody gave; a file by hand holds a few."""
    record, by_hand = tmp_path / "invdpo.yaml", tmp_path / "hand.yaml"
    record.write_text(dump_config(load_config(None, {"score": {"scorers": ["clip"]}})))
    by_hand.write_text("annotate: {annotators: [shapes]}\nscore: {clip_model: embedded}\n")
    assert unchosen(resolve_config([record]), BOTH) == [ALL_FLAGS[0], ALL_FLAGS[2]]
    assert resolve_config([record]) == load_config(record)
    assert unchosen(resolve_config([by_hand]), BOTH) == []
    assert unchosen(resolve_config([record, by_hand]), BOTH) == []


def test_a_later_record_still_overrides_with_its_defaults(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 0)):
        config = Config.model_validate({"generate": {"seed": seed, "lora": name if seed else None}})
        (tmp_path / f"{name}.yaml").write_text(dump_config(config))
    found = resolve_config([tmp_path / "a.yaml", tmp_path / "b.yaml"]).generate
    assert (found.seed, found.lora) == (0, None)


@pytest.mark.parametrize("name", [n for n in preset_names() if not n.endswith("embedded")])
def test_presets_of_other_models_choose_their_judges(name: str) -> None:
    assert unchosen(resolve_config([preset_path(name)]), BOTH) == []


def test_the_steps_give_the_two_commands_that_are_right(tmp_path: Path) -> None:
    ws = build(tmp_path / "work", model="sd15")
    for table in (ws.annotations_dir("shapes"), ws.scores_dir("clip")):
        table.rename(ws.root / table.name)
    for step in BOTH:
        result = invdpo("curate", step, ws.root)
        assert result.exit_code == 1
        assert "images are those of sd15" in result.stderr
        assert f"\n  invdpo curate annotate {ws.root} --annotators detector\n" in result.stderr
        score = f"invdpo curate score {ws.root} --scorers composition,clip --annotator detector"
        assert f"\n  {score} --clip-model ViT-L-14" in result.stderr


def test_the_commands_of_a_refusal_are_what_was_typed_with_judges(
    tmp_path: Path, tiny_model: Path
) -> None:
    words = ["run", tmp_path / "my work", "--model", tiny_model, "--num-prompts", 2]
    result = invdpo("curate", *words)
    commands = re.findall(r"^  (invdpo .*)$", result.stderr, re.MULTILINE)
    typed = shlex.join(["invdpo", "curate", *map(str, words)])
    judges = "--annotators detector --scorers composition,clip "
    assert commands[0].startswith(f"{typed} --source scenes {judges}")
    assert commands[1:] == [f"{typed} --preset sd15"]
    chosen = invdpo("curate", *words, "--source", "shapes").stderr
    assert f"\n  {typed} --source shapes {judges}" in chosen


def test_graphs_that_no_scorer_needs_need_not_be_read(tmp_path: Path, tiny_model: Path) -> None:
    words = ["run", tmp_path / "work", "--model", tiny_model, "--source", "shapes"]
    words += ["--num-prompts", 4, "--num-candidates", 2, "--num-inference-steps", 2]
    words += ["--scorers", "clip", "--clip-model", "embedded", "--weight", "clip=1"]
    words += ["--min-margin", 0]
    refused = invdpo("curate", *words).stderr
    typed = shlex.join(["invdpo", "curate", *map(str, words)])
    assert re.findall(r"^  (invdpo .*)$", refused, re.MULTILINE)[0] == f"{typed} --annotators none"
    result = invdpo("curate", *words, "--annotators", "none")
    assert result.exit_code == 0, result.stderr
    ws = Workspace(tmp_path / "work")
    assert not ws.annotations_dir("shapes").exists()
    (path,) = ws.dataset_dir.glob("data/train-*.parquet")
    pairs = pq.read_table(path)
    assert pairs.num_rows
    assert pairs["graph"].null_count == 0
    assert pairs["chosen_graph"].null_count == pairs.num_rows


def test_graphs_that_nobody_reads_are_told_before_anything_is_drawn(tmp_path: Path) -> None:
    refused = invdpo("curate", "run", tmp_path / "work", "--annotators", "none")
    assert "score.annotator: found shapes, but the annotators are: none. Name" in refused.stderr
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("model", "preset"), [("a/b-xl", "sdxl"), ("stabilityai/stable-diffusion-3", "sd35-medium")]
)
def test_a_refusal_names_the_preset_that_suits_the_model(model: str, preset: str) -> None:
    with pytest.raises(ConfigError, match=f"\n  invdpo curate run w --preset {preset}\n"):
        steps.check(
            Workspace("w"),
            load_config(None, {"generate": {"model": model}}),
            DRY,
            BOTH,
            "invdpo curate run w",
        )


def test_what_is_no_model_is_told_before_its_judges(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for model, text in ((tmp_path / "folder", "model_index.json"), ("x", "Unknown model 'x'")):
        result = invdpo("curate", "run", tmp_path / "work", "--model", model)
        assert result.exit_code == 1
        assert text in result.stderr


def test_the_embedded_models_images_need_no_choice(tmp_path: Path) -> None:
    ws = build(tmp_path / "work", model="embedded")
    result = invdpo("curate", "annotate", ws.root, "--overwrite", "--dry-run")
    assert result.exit_code == 0, result.stderr


def test_a_run_is_refused_before_anything_is_drawn(tmp_path: Path, tiny_model: Path) -> None:
    work = tmp_path / "work"
    result = invdpo("curate", "run", work, "--model", tiny_model, "--num-prompts", 2)
    assert result.exit_code == 1
    assert not work.exists()


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"annotate": {"annotators": ["x"]}}, PluginError, "Unknown annotator 'x'"),
        ({"score": {"scorers": ["clip", "x"]}}, PluginError, "Unknown scorer 'x'"),
        ({"score": {"clip_model": "no such"}}, ModelError, "Unknown clip_model 'no such'"),
        ({"annotate": {"annotators": ["import"]}}, ConfigError, "import_path: missing"),
    ],
)
def test_what_would_stop_a_later_step_is_told_first(
    given: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        check_judges(load_config(None, given), BOTH)


def test_a_missing_extra_is_told_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"pip install 'invdpo\[quality\]'"):
        check_judges(load_config(None, {"score": {"scorers": ["nsfw"]}}), BOTH)
