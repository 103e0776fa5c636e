"""Which base model a tuned one is compared with, by the report beside it; commands that follow."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.curate.shapes import bundle
from invdpo.schemas import ConfigError, DataError, ModelError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import (
    dump_config,
    load_config,
    named_fields,
    resolve_config,
)
from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.config.trust import confirm
from invdpo.train.models import load_adapter
from invdpo.trained import (
    BaseModel,
    evaluation_command,
    find_base,
    prompts_seen,
    read_training,
)
from invdpo.training import training_options, with_model_path
from invdpo.tuned_models import with_text_length
from tests.train.conftest import pipeline, xl_pipeline

__all__ = ["pipeline", "xl_pipeline"]


def fingerprint(model: Path) -> str:
    return load_adapter(TrainConfig(model=str(model)), torch.device("cpu")).fingerprint


def write_report(folder: Path, model: Path, **more: Any) -> Path:
    """`training.json` of a training of `model`, and no weights."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"config": {"model": str(model), "revision": None}, "model": fingerprint(model)}
    (folder / "training.json").write_text(json.dumps(config | more))
    return folder


def change_config(folder: Path, **changes: Any) -> None:
    report = json.loads((folder / "training.json").read_text())
    report["config"] |= changes
    (folder / "training.json").write_text(json.dumps(report))


def base_of(tuned: Path, named: Path | None = None) -> BaseModel:
    found = BaseModel(str(named)) if named else None
    return find_base(tuned, read_training(tuned), found, whole=True)


def test_folders_that_a_training_begins_with_are_kept_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the report names them wherever it is read; names of the Hub stay."""
    for name in ("base", "earlier"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    there = with_model_path(TrainConfig(model="base", start_from="earlier"))
    found = {"model": str(tmp_path / "base"), "start_from": str(tmp_path / "earlier")}
    assert there.model_dump(include={"model", "start_from"}) == found
    of_hub = TrainConfig(model="lab/a")
    assert with_model_path(of_hub) == of_hub


def test_the_base_is_that_of_the_report(pipeline: Path, tmp_path: Path) -> None:
    tuned = write_report(tmp_path / "tuned", pipeline)
    (tuned / "weights.safetensors").touch()
    checkpoint = tuned / "checkpoints" / "step-000100"
    checkpoint.mkdir(parents=True)
    for place in (tuned, tuned / "weights.safetensors", checkpoint):
        assert base_of(place) == BaseModel(str(pipeline))


def test_texts_are_as_long_as_in_the_training(pipeline: Path, tmp_path: Path) -> None:
    tuned = write_report(tmp_path / "tuned", pipeline)
    config = Config()
    assert with_text_length(config, [tuned]) is config
    change_config(tuned, max_sequence_length=24)
    drawn = with_text_length(config, [tuned, tuned]).generate
    assert drawn.pipeline_options == {"max_sequence_length": 24}
    options = {"generate": {"pipeline_options": {"max_sequence_length": 9}}}
    chosen = Config.model_validate(options)
    other = write_report(tmp_path / "other", pipeline)
    with pytest.raises(ConfigError, match=r"other lengths \(.*tuned with 24, .*other with the def"):
        with_text_length(config, [tuned, other])
    assert with_text_length(chosen, [tuned, other]) is chosen


def test_a_base_that_was_moved_is_named(pipeline: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(pipeline, tmp_path / "old"))
    tuned = write_report(tmp_path / "tuned", old)
    new = old.rename(tmp_path / "new")
    with pytest.raises(ModelError, match="--model FOLDER, with the folder where it is now"):
        base_of(tuned)
    assert base_of(tuned, new) == BaseModel(str(new))


def test_another_model_is_refused_with_both_named(
    pipeline: Path, xl_pipeline: Path, tmp_path: Path
) -> None:
    tuned = write_report(tmp_path / "tuned", pipeline)
    with pytest.raises(ConfigError) as error:
        base_of(tuned, xl_pipeline)
    assert f"found {xl_pipeline}" in str(error.value)
    assert f"tuned from {pipeline}" in str(error.value)
    with pytest.raises(ConfigError, match="found embedded, but"):
        find_base(tuned, read_training(tuned), BaseModel("embedded"), whole=True)


def test_a_base_whose_files_changed_is_refused(pipeline: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(pipeline, tmp_path / "model"))
    tuned = write_report(tmp_path / "tuned", model)
    settings = model / "scheduler" / "scheduler_config.json"
    settings.write_text(settings.read_text() + "\n")
    with pytest.raises(ConfigError, match="whose files have changed"):
        base_of(tuned)


def test_the_embedded_model_keeps_its_name_wherever_it_lay(tmp_path: Path) -> None:
    """As in a report that came from another machine."""
    tuned = write_report(tmp_path / "tuned", bundle.model_path())
    report = json.loads((tuned / "training.json").read_text())
    report["config"]["model"] = "elsewhere/embedded"
    (tuned / "training.json").write_text(json.dumps(report))
    assert base_of(tuned) == BaseModel("embedded")
    assert base_of(tuned, bundle.model_path()) == BaseModel("embedded")


def test_without_a_report_the_base_must_be_named(pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no training\.json beside it.*invdpo eval .* --model"):
        base_of(tmp_path)
    assert base_of(tmp_path, pipeline) == BaseModel(str(pipeline))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"config": 1, "model": "x"}', "[" * 9000])
def test_a_file_that_is_no_report_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "training.json").write_text(text)
    with pytest.raises(DataError, match=r"training\.json: not a report of a training"):
        read_training(tmp_path)


def test_trainings_that_went_on_from_themselves_end(pipeline: Path, tmp_path: Path) -> None:
    """Reports name the folder, and what lay there before was replaced."""
    prompts = {name: {"prompts": {"train": [name]}} for name in ("a", "b")}
    for folder, other in (("a", "b"), ("b", "a")):
        write_report(tmp_path / folder, pipeline, data=prompts[folder])
        change_config(tmp_path / folder, start_from=str(tmp_path / other))
    training = read_training(tmp_path / "a")
    assert training
    assert prompts_seen(training) == {"train": {"a", "b"}}
    for folder, other in (("a", "b"), ("b", "a")):
        change_config(tmp_path / folder, model=str(tmp_path / other))
    with pytest.raises(
        DataError, match=r"training\.json: its chain of base models leads back to itself"
    ):
        base_of(tmp_path / "a")


@pytest.mark.parametrize(
    "config",
    [
        {"start_from": 5},
        {"start_from": ["a"]},
        {"start_from": "a" * 5000},
        {"model": "a" * 5000},
        {"model": None},
        {"model": ""},
        {"revision": 5},
    ],
)
def test_a_report_whose_names_are_none_is_none(
    pipeline: Path, tmp_path: Path, config: dict[str, Any]
) -> None:
    write_report(tmp_path, pipeline)
    change_config(tmp_path, **config)
    with pytest.raises(DataError, match=r"training\.json: not a report of a training"):
        read_training(tmp_path)


def test_the_next_command_of_the_embedded_model_is_plain(tmp_path: Path) -> None:
    tuned = write_report(tmp_path / "tuned", bundle.model_path())
    assert evaluation_command(tuned, Config(), tmp_path / "none") == f"invdpo eval {tuned}"


def test_the_next_command_of_the_embedded_model_samples_as_the_pairs_were(tmp_path: Path) -> None:
    """Guidance 2 is not what an evaluation takes by default, so the workspace's file is named."""
    tuned, record = write_report(tmp_path / "tuned", bundle.model_path()), tmp_path / "invdpo.yaml"
    plain = Config()
    record.write_text(dump_config(plain))
    assert evaluation_command(tuned, plain, record) == f"invdpo eval {tuned}"
    prompts = {"source": "file", "path": "p.txt"}
    given = {"generate": {"guidance_scale": 2.0}, "prompts": prompts}
    record.write_text(dump_config(Config.model_validate(given)))
    curated = resolve_config([record])
    assert evaluation_command(tuned, curated, record) == f"invdpo eval {tuned}"
    confirm(curated, record, (), named_fields([record]))
    others = ["--source", "shapes", "--path", "none"]
    expected = f"invdpo eval {tuned} --config {record} {' '.join(others)}"
    assert evaluation_command(tuned, curated, record) == expected
    words = ["curate", "prompts", str(tmp_path / "work"), "--config", str(record), *others]
    result = CliRunner().invoke(app, [*words, "--num-prompts", "2"])
    assert result.exit_code == 0, result.stderr


def test_the_next_command_of_rounds_names_the_model_that_they_began_with(
    pipeline: Path, tmp_path: Path
) -> None:
    """That of the last round's training is the model of the round before."""
    tuned, record = write_report(tmp_path / "tuned", pipeline), tmp_path / "invdpo.yaml"
    given: dict[str, Any] = {"generate": {"model": "first"}, "score": {"scorers": ["nsfw"]}}
    curated = load_config(None, given)
    record.write_text(dump_config(curated))
    confirm(curated, record, (), {("score", "scorers"), ("generate", "model")})
    command = evaluation_command(tuned, curated, record, BaseModel("first"))
    assert command == f"invdpo eval {tuned} --config {record} --model first"


def test_the_next_command_takes_the_judges_of_the_workspace(pipeline: Path, tmp_path: Path) -> None:
    """A file's prompts are those of the pairs, so others are taken; toys in use are named."""
    tuned, record = write_report(tmp_path / "tuned", pipeline), tmp_path / "invdpo.yaml"
    prompts = {"source": "file", "path": "p.txt"}
    given = {"prompts": prompts, "generate": {"model": str(pipeline)}}
    record.write_text(dump_config(Config.model_validate(given)))
    curated = resolve_config([record])
    unconfirmed = evaluation_command(tuned, curated, record)
    assert unconfirmed == f"invdpo eval {tuned} --preset sd15"
    confirm(curated, record, (), named_fields([record]))
    assert evaluation_command(tuned, curated, record) == (
        f"invdpo eval {tuned} --config {record} --source scenes --path none "
        "--annotator shapes --clip-model embedded"
    )
    other = load_config(None, {"score": {"scorers": ["nsfw"]}, "generate": {"model": "a/b"}})
    confirm(other, record, (), {("score", "scorers"), ("generate", "model")})
    assert evaluation_command(tuned, other, record) == (
        f"invdpo eval {tuned} --config {record} --model {pipeline}"
    )


def test_the_next_command_needs_no_scorer_of_another_environment(
    pipeline: Path, tmp_path: Path
) -> None:
    tuned, record = write_report(tmp_path / "tuned", pipeline), tmp_path / "invdpo.yaml"
    given: dict[str, Any] = {
        "score": {"scorers": ["elsewhere"]},
        "generate": {"model": str(pipeline)},
    }
    record.write_text(dump_config(Config.model_validate(given)))
    curated = load_config(None, given)
    confirm(curated, record, (), {("score", "scorers"), ("generate", "model")})
    command = evaluation_command(tuned, curated, record)
    assert command == f"invdpo eval {tuned} --config {record}"


def test_without_a_workspace_the_next_command_takes_a_preset(
    xl_pipeline: Path, tmp_path: Path
) -> None:
    tuned = write_report(tmp_path / "tuned", xl_pipeline, pipeline="StableDiffusionXLPipeline")
    command = evaluation_command(tuned, Config(), tmp_path / "none")
    assert command == f"invdpo eval {tuned} --preset sdxl"


def test_texts_are_as_long_as_those_that_the_images_were_generated_from() -> None:
    """For the model that generated them, and unless the training says how long."""
    generate = {"model": "a/b", "pipeline_options": {"max_sequence_length": 128}}

    def length(**train: Any) -> int | None:
        curated = load_config(None, {"generate": generate, "train": train})
        return training_options(curated).max_sequence_length

    assert length(model="a/b") == 128
    assert length(model="a/b", max_sequence_length=64) == 64
    assert length(model="c/d") is None
