"""`invdpo config`: what counts and who said so, and the schema by which editors check a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.config_schema import config_schema
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import load_config
from invdpo.schemas.config.presets import preset_names, preset_path

MINE = """
prompts: {path: "two\\nlines #1", seed: 7}
generate: {model: "https://u53r:pw0rd@host/m?key=k3y", resolution: 512x768}
score: {plugins: {Sharp: {api_key: k3y, sharp_token: hf_abcdefgh, level: 2}}}
train: {learning_rate: 1e-5, num_points: null}
"""


def invdpo(*words: object) -> str:
    result = CliRunner().invoke(app, ["config", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("work").mkdir()
    Path("work/invdpo.yaml").write_text("prompts: {seed: 3, num_prompts: 4}\n", encoding="utf-8")
    Path("mine.yaml").write_text(MINE, encoding="utf-8")
    return Path("work")


def test_every_value_that_is_no_default_says_where_it_is_from(work: Path) -> None:
    text = invdpo("show", "--workspace", work, "--config", "mine.yaml")
    lines = text.splitlines()
    assert "  seed: 7  # mine.yaml" in lines
    assert "  num_prompts: 4  # work/invdpo.yaml" in lines
    assert "  num_candidates: 8" in lines
    assert '  path: "two\\nlines #1"  # mine.yaml' in lines
    assert "  height: 768  # mine.yaml" in lines
    assert not any(secret in text for secret in ("u53r", "pw0rd", "k3y", "hf_abc"))
    said = [line.split(":")[0].strip() for line in lines if "  # " in line]
    expected = ["path", "num_prompts", "seed", "model", "width", "height", "plugins"]
    assert said == [*expected, "num_points", "learning_rate"]


def test_what_is_shown_can_be_given_back(work: Path) -> None:
    Path("shown.yaml").write_text(invdpo("show", "--config", "mine.yaml"), encoding="utf-8")
    shown, given = load_config(Path("shown.yaml")), load_config(Path("mine.yaml"))
    own = {"generate": {"model"}, "score": {"plugins"}}
    assert shown.model_dump(exclude=own) == given.model_dump(exclude=own)
    assert shown.score.plugins == {"Sharp": {"api_key": "…", "sharp_token": "…", "level": 2}}


def test_a_preset_stands_for_the_workspace(work: Path) -> None:
    data = json.loads(invdpo("show", "--workspace", work, "--preset", "sdxl", "--json"))
    assert set(data["origins"].values()) == {"preset sdxl"}
    assert data["config"]["prompts"]["num_prompts"] == 2000


def test_presets_say_what_they_are_for() -> None:
    rows = json.loads(invdpo("presets", "--json"))["presets"]
    assert [row["name"] for row in rows] == preset_names()
    assert all(f"--preset {row['name']}" in row["about"] for row in rows)
    tried = [row["name"] for row in rows if "Not tried" not in row["about"]]
    assert tried == ["compositional-11k-embedded", "rounds-embedded"]


def test_the_schema_takes_what_the_configuration_takes() -> None:
    schema: dict[str, Any] = json.loads(invdpo("schema"))
    assert schema == config_schema()
    check = jsonschema.Draft202012Validator(schema)
    several = "{generate: {model: [a, b], lora: a=0.5}, pair: {min_margin: [2, clip=1]}}"
    texts = [preset_path(name).read_text(encoding="utf-8") for name in preset_names()]
    for given in (*map(yaml.safe_load, [*texts, several]), Config().model_dump(mode="json")):
        assert [error.message for error in check.iter_errors(given)] == []
    wrong = {"prompt": {}, "train": {"lr": 1, "objective": "dpo", "max_steps": 0}}
    assert len(list(check.iter_errors(wrong))) == 4


def test_the_schema_has_only_words_that_editors_know() -> None:
    schema = config_schema()
    words = {word for d in schema["$defs"].values() for p in d["properties"].values() for word in p}
    assert not words & {"fingerprint", "several", "local", "hidden", "travels", "scalars", "text"}
    assert schema["$defs"]["GenerateConfig"]["properties"]["revision"]["deprecated"]
