"""`invdpo eval` of a model that was just trained: its base, its prompts, its refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.schemas.config.load import load_config

SMALL = ["--num-inversion-steps", "2", "--num-points", "1", "--batch-size", "2", "--max-steps", "1"]
QUICK = ["--num-prompts", "2", "--num-inference-steps", "1", "--batch-size", "2"]
TOYS = ["--scorers", "composition", "--annotator", "shapes"]


def invdpo(*words: object) -> Any:
    return CliRunner().invoke(app, [*map(str, words)])


@pytest.fixture(scope="module")
def tuned(dataset: Path, pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA of one step."""
    output = tmp_path_factory.mktemp("tuned") / "tuned"
    result = invdpo("train", dataset, "--model", pipeline, "--output", output, *SMALL)
    assert result.exit_code == 0, result.stderr
    assert f"Next: invdpo eval {output} --preset sd15" in result.stderr
    return output


def test_a_training_by_a_round_names_no_next_command(tuned: Path, tmp_path: Path) -> None:
    """The processes of `improve` said so in the middle of the rounds; it continues by itself."""
    (tmp_path / "rounds.json").write_text("{}")
    output = shutil.copytree(tuned, tmp_path / "round-001" / "tuned")
    training = json.loads((tuned / "training.json").read_text())
    data, model = training["data"]["dataset"], training["config"]["model"]
    result = invdpo("train", data, "--model", model, "--output", output, *SMALL)
    assert result.exit_code == 0, result.stderr
    assert "Next:" not in result.stderr


def test_the_base_is_the_model_of_the_training(tuned: Path, pipeline: Path, tmp_path: Path) -> None:
    result = invdpo("eval", tuned, "--output", tmp_path / "eval", *QUICK, *TOYS, "--json")
    assert result.exit_code == 0, result.stderr
    data = json.loads(result.stdout)
    assert data["base"] == str(pipeline)
    assert {row["figure"]: row["prompts"] for row in data["figures"]}["composition"] == 2
    assert data == json.loads((tmp_path / "eval" / "evaluation.json").read_text())


def test_the_base_may_have_another_guidance(tuned: Path, tmp_path: Path) -> None:
    scales = ["--guidance-scale", "1", "--base-guidance-scale", "3"]
    result = invdpo("eval", tuned, "--output", tmp_path / "eval", *QUICK, *TOYS, *scales)
    assert result.exit_code == 0, result.stderr
    data = json.loads((tmp_path / "eval" / "evaluation.json").read_text())
    assert "Guidance: 3 for the base model, 1 for the tuned ones." in data["notes"]
    given = {
        name: load_config(tmp_path / "eval" / name / "invdpo.yaml").generate.guidance_scale
        for name in ("base", "tuned")
    }
    assert given == {"base": 3.0, "tuned": 1.0}


def test_prompts_of_the_training_are_told(tuned: Path, dataset: Path, tmp_path: Path) -> None:
    """Of these two the first is one of the training's."""
    (tmp_path / "p.txt").write_text("A  red CIRCLE\na yellow triangle\n")
    prompts = ["--source", "file", "--path", tmp_path / "p.txt"]
    result = invdpo("eval", tuned, "--output", tmp_path / "eval", *QUICK, *TOYS, *prompts)
    assert result.exit_code == 0, result.stderr
    notes = json.loads((tmp_path / "eval" / "evaluation.json").read_text())["notes"]
    (leak,) = [note for note in notes if note.startswith("Leak: ")]
    assert leak.startswith("Leak: 1 of 2 prompts are from the dataset that the model was tuned on")
    assert str(dataset) in leak
    assert all("truncated" in note for note in notes if note != leak)  # by the small text encoder


def test_default_judges_are_refused(tuned: Path, tmp_path: Path) -> None:
    result = invdpo("eval", tuned, "--output", tmp_path / "eval", *QUICK)
    assert result.exit_code == 1
    typed = f"  invdpo eval {tuned} --output {tmp_path / 'eval'} {' '.join(QUICK)}"
    assert (
        f"{typed} --source scenes --scorers composition,clip --annotator detector" in result.stderr
    )
    assert f"{typed} --preset sd15\n" in result.stderr
    assert not (tmp_path / "eval").exists()


def test_another_base_is_refused(tuned: Path, pipeline: Path, tmp_path: Path) -> None:
    """By a flag and by a file; a preset's own model is only the default of a training's."""
    (tmp_path / "c.yaml").write_text("generate: {model: embedded, guidance_scale: 2}\n")
    for words in (["--model", "embedded"], ["--config", tmp_path / "c.yaml"]):
        result = invdpo("eval", tuned, "--output", tmp_path / "eval", *QUICK, *TOYS, *words)
        assert result.exit_code == 1
        assert f"found embedded, but {tuned} was tuned from {pipeline}" in result.stderr
    assert not (tmp_path / "eval").exists()


def test_a_folder_of_other_things_is_no_output(tuned: Path, dataset: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(dataset, tmp_path / "dataset"))
    before = sorted(folder.rglob("*"))
    for output in (folder, tuned):
        result = invdpo("eval", tuned, "--output", output, *QUICK, *TOYS)
        assert result.exit_code == 1
        assert f"{output}: holds other files, " in result.stderr
    assert sorted(folder.rglob("*")) == before


def test_a_folder_of_something_else_is_refused_at_once(
    tuned: Path, dataset: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(dataset, tmp_path / "dataset"))
    for report in (None, tuned / "training.json"):
        if report:
            shutil.copy(report, folder)
        result = invdpo("eval", folder, *QUICK, *TOYS)
        assert result.exit_code == 1
        assert "no LoRA weights" in result.stderr
        assert "--output folder of `invdpo train`" in result.stderr
    assert not (folder / "evaluation").exists()


def test_several_models_share_a_base(
    tuned: Path, pipeline: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The one that was evaluated before is not drawn again; both are named, and the base."""
    other = Path(shutil.copytree(tuned, tmp_path / "other"))
    words = ("--output", tmp_path / "eval", *QUICK, *TOYS, "--json")
    first = invdpo("eval", tuned, *words)
    assert first.exit_code == 0, first.stderr
    caplog.clear()
    both = invdpo("eval", "--tuned", tuned, "--tuned", other, *words, "--held-out", "composition")
    assert both.exit_code == 0, both.stderr
    loaded = [m for m in caplog.messages if m.startswith("loading ")]
    assert loaded == [f"loading {pipeline.name}+{other}"]
    data = json.loads(both.stdout)
    assert (data["base"], data["tuned"]) == (str(pipeline), [str(tuned), str(other)])
    assert data["held_out"] == "composition"
    rows = [row for row in data["figures"] if row["model"] == str(tuned)]
    assert rows == json.loads(first.stdout)["figures"]
    assert {row["model"] for row in data["figures"]} == {str(tuned), str(other)}
    made = {path.name for path in (tmp_path / "eval").iterdir() if path.is_file()}
    assert {"index.html", "results.parquet", "grid.png", "grid-2.png", "evaluation.json"} <= made
    assert invdpo("eval", other, *words).exit_code == 0
    assert [path.name for path in (tmp_path / "eval").glob("grid*")] == ["grid.png"]


def test_what_is_named_wrong_is_told_at_once(tuned: Path, dataset: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(tuned, tmp_path / "other"))
    report = json.loads((other / "training.json").read_text())
    report["config"]["model"] = "embedded"
    (other / "training.json").write_text(json.dumps(report))
    for words, text in (
        ([], "Give one: invdpo eval TUNED"),
        ([tuned, "--checkpoints"], "no checkpoints/step-"),
        (
            [tuned, other],
            f"but {other} from embedded; models can be compared only if they share a base",
        ),
        ([tuned, "--held-out", "nsfw"], "eval.held_out: found nsfw, which is not among"),
        ([tuned, "--export", "wise"], "--export: found 'wise'; expected geneval or t2i"),
    ):
        result = invdpo("eval", *words, "--output", tmp_path / "eval", *QUICK, *TOYS)
        assert result.exit_code == 1
        assert text in result.stderr.replace("\n", " ")
    assert not (tmp_path / "eval").exists()
