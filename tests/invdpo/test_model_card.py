"""What a model's card is told: figures, command, base model and its licence."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from invdpo.data_cards import read_licence
from invdpo.model_card import base_facts, hub_id, model_facts, training_command, write_model_card
from invdpo.options import flags, overrides
from invdpo.schemas.config.load import load_config
from invdpo.schemas.config.train import TrainConfig
from invdpo.train import TrainResult
from tests.hub_repos import card_errors

HEAD = "---\nlicense: {}\nlicense_name: house\nlicense_link: LICENSE.md\n---\n# Base\n"


@pytest.fixture
def result(tmp_path: Path) -> TrainResult:
    output = tmp_path / "runs" / "tuned"
    output.mkdir(parents=True)
    rows: list[dict[str, float]] = [
        {"step": 1, "loss": 0.7, "rewards/accuracies": 0.5, "rewards/margins": 0.0},
        {"step": 1, "validation/loss": 0.69, "validation/rewards/accuracies": 0.75},
        {"step": 2, "loss": 0.6, "rewards/accuracies": 0.625, "rewards/margins": 0.01234567},
    ]
    (output / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = {"config": {"model": "embedded"}, "model": "abcdef0123456789"}
    (output / "training.json").write_text(json.dumps(report))
    return TrainResult(
        output=output,
        steps=2,
        best_step=1,
        best_loss=0.690001,
        pairs=40,
        validation_pairs=8,
        skipped={},
        notes=(),
        cache_seconds=1.0,
        cache_forwards=1,
        trajectory_forwards=1,
        seconds=1.0,
        validation_seconds=1.0,
        forwards=1,
        metrics=rows[-1],
    )


def figures(result: TrainResult) -> dict[str, Any]:
    facts = model_facts(Path("work/dataset"), TrainConfig(), result)
    return {row["figure"]: row["value"] for row in facts["figures"]}


def test_figures(result: TrainResult) -> None:
    assert figures(result) == {
        "pairs to train on": 40,
        "pairs for validation": 8,
        "steps": 2,
        "step of these weights": 1,
        "validation loss at that step": "0.69",
        "reward accuracy, the last batch": "0.625",
        "reward margin, the last batch": "0.01235",
        "reward accuracy, validation pairs, last validation": "0.75",
    }


def test_what_is_not_known_is_not_told(result: TrainResult) -> None:
    (result.output / "metrics.jsonl").unlink()
    (result.output / "training.json").unlink()
    names = figures(replace(result, best_loss=None, validation_pairs=0))
    assert set(names) == {
        "pairs to train on",
        "pairs for validation",
        "steps",
        "step of these weights",
    }
    card = write_model_card(Path("work/dataset"), TrainConfig(), result).read_text()
    assert "fingerprint" not in card
    assert "curves.png" not in card


def test_the_whole_card(result: TrainResult) -> None:
    (result.output / "curves.png").write_bytes(b"\x89PNG")
    (result.output / "pictures").mkdir()
    for step in (50, 100):
        (result.output / f"pictures/step {step:06d}.png").write_bytes(b"\x89PNG")
    config = TrainConfig(beta=500.0)
    path = write_model_card(Path("work/dataset"), config, result, "alice/better")
    text = path.read_text()
    assert path == result.output / "README.md"
    assert card_errors(text, "model") == []
    assert "# better\n" in text
    assert 'pipeline.load_lora_weights("alice/better")' in text
    assert "| its fingerprint | `abcdef0123456789` |" in text
    assert "](curves.png)" in text
    assert "](pictures/step%20000100.png)" in text
    assert str(result.output.parent) not in text
    assert "invdpo train work/dataset --output tuned --beta 500.0\n" in text


def test_without_the_hub_the_card_names_the_folder(result: TrainResult) -> None:
    text = write_model_card(Path("work/dataset"), TrainConfig(), result).read_text()
    assert "# tuned\n" in text
    assert 'pipeline.load_lora_weights("path/to/tuned")' in text


def test_the_card_has_the_options_that_were_used(
    result: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the base by its own name, wherever the command was started."""
    used = {"model": "/srv/base", "fresh_noise": 0.8, "weighting": "min_snr"}
    report = {"config": used, "model": "abcdef0123456789"}
    (result.output / "training.json").write_text(json.dumps(report))
    monkeypatch.chdir(tmp_path)
    config = TrainConfig(model="./base")
    text = write_model_card(Path("work/dataset"), config, result).read_text()
    assert "| `fresh_noise` | `0.8` |" in text
    assert "| `weighting` | `min_snr` |" in text
    assert 'from_pretrained("path/to/base")' in text


def test_a_data_set_of_the_hub_is_linked(result: TrainResult) -> None:
    card = write_model_card(Path("lab/pairs"), TrainConfig(), result)
    assert yaml.safe_load(card.read_text().split("---\n")[1])["datasets"] == ["lab/pairs"]


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(),
        TrainConfig(model="org/sdxl", revision="v1", objective="sft", num_points=None, seed=7),
        TrainConfig(lora_targets=("to_q",), learning_rate=1.25e-7, trackers=(), keep="last"),
        TrainConfig(model="a model's folder", aspect_buckets=False, resolution=768),
    ],
)
def test_the_command_gives_the_same_configuration(config: TrainConfig) -> None:
    """Its words, read as the command line reads them, make the configuration again."""
    from typer.main import get_command

    from invdpo.cli import app

    words = shlex.split(training_command(Path("work/my set"), Path("tuned"), config))
    assert words[:5] == ["invdpo", "train", "work/my set", "--output", "tuned"]
    train: Any = get_command(app)
    parsed = train.commands["train"].make_context("train", words[2:]).params
    found = {name: value for name, value in parsed.items() if value != ()}  # as Typer passes on
    assert load_config(None, overrides(flags(["train"]), found)).train == config


def test_the_command_tells_no_folder_of_this_machine(tmp_path: Path) -> None:
    config = TrainConfig(model=str(tmp_path / "base"))
    command = training_command(tmp_path / "work" / "dataset", tmp_path / "tuned", config)
    assert command == "invdpo train dataset --output tuned --model base"


def test_the_licence_follows_the_base(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    config = TrainConfig(model=str(base))
    assert base_facts(config) == {"base_model": "base"}
    (base / "README.md").write_text(HEAD.format("openrail++"))
    licence = {"license": "openrail++", "license_name": "house", "license_link": "LICENSE.md"}
    assert base_facts(config) == {"base_model": "base"} | licence
    assert base_facts(TrainConfig()) == {"base_model": "embedded", "license": "apache-2.0"}


@pytest.mark.parametrize(
    ("readme", "expected"),
    [
        ("---\nlicense: [mit, apache-2.0]\n---\n", {"license": ["mit", "apache-2.0"]}),
        ("---\nlicense: 3\n---\n", {}),
        ("---\nlicense: []\n---\n", {}),
        ("---\nlicense_name: x\n---\n", {}),
        ("---\n- a list\n---\n", {}),
        ("---\n{broken\n---\n", {}),
        ("no head\n---\nlicense: mit\n---\n", {}),
        ("", {}),
    ],
)
def test_licences_are_read_with_care(tmp_path: Path, readme: str, expected: Any) -> None:
    (tmp_path / "README.md").write_text(readme)
    assert read_licence(tmp_path / "README.md") == expected


def test_a_base_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    snapshot = tmp_path / "0a1b2c"
    snapshot.mkdir()
    (snapshot / "README.md").write_text(HEAD.format("other"))
    index = str(snapshot / "model_index.json")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: index)
    readme = str(snapshot / "README.md")
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: readme)
    assert base_facts(TrainConfig(model="org/sdxl")) == {
        "base_model": "org/sdxl",
        "base_model_id": "org/sdxl",
        "revision": "0a1b2c",
        "license": "other",
        "license_name": "house",
        "license_link": "https://huggingface.co/org/sdxl/blob/main/LICENSE.md",
    }


def test_a_base_of_the_hub_that_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def offline(*_: object, **__: object) -> str:
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    config = TrainConfig(model="org/sdxl", revision="v1")
    found = {"base_model": "org/sdxl", "base_model_id": "org/sdxl", "revision": "v1"}
    assert base_facts(config) == found


def test_what_lies_here_is_no_name_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert hub_id("work/dataset") == "work/dataset"
    Path("work/dataset").mkdir(parents=True)
    assert hub_id("work/dataset") is None
    assert hub_id("/srv/dataset") is None
    assert hub_id("embedded") is None
