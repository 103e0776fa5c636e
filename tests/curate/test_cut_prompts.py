"""Prompts that are longer than a text encoder takes: counted, told once, recorded."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from invdpo.curate import steps
from invdpo.curate.checkpoints.tokens import PromptLengths
from invdpo.curate.dataset.card import dataset_facts
from invdpo.curate.dataset.folder import DatasetFolder
from invdpo.curate.evaluation.compare import evaluate_models
from invdpo.curate.evaluation.models import EvaluatedModel
from invdpo.curate.report.provenance import read_provenance
from invdpo.curate.runner import RunOptions, StepResult
from invdpo.curate.storage.cuts import count_cut
from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from tests.curate.pipelines import FAMILIES
from tests.curate.tiny import LENGTH, tiny_config

LONG = "a red circle and a blue square, " * 45
"""360 tokens and more, of any encoder."""
OPTIONS = RunOptions(progress=False)
NOTE = "2 prompts were longer than the text encoder allows and truncated"


@pytest.fixture(scope="module")
def config(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    path = tmp_path_factory.mktemp("prompts") / "p.txt"
    path.write_text("\n".join(["a red circle", f"{LONG}one", "a star", f"{LONG}two"]))
    return tiny_config(
        tiny_model,
        prompts={"source": "file", "path": str(path)},
        generate={"num_candidates": 3},
        score={"scorers": ["clip"], "clip_model": "embedded"},
        pair={"weights": {"clip": 1.0}, "min_margin": 0.0},
    )


def generate_and_score(ws: Workspace, config: Config) -> list[StepResult]:
    return [steps.generate(ws, config, OPTIONS), *steps.score(ws, config, OPTIONS)]


def test_counted_told_once_and_recorded(
    config: Config, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ws = Workspace(tmp_path / "work")
    steps.make_prompts(ws, config, OPTIONS)
    capfd.readouterr()
    for _ in ("made", "found done"):
        assert [result.notes for result in generate_and_score(ws, config)] == [(NOTE,), (NOTE,)]
    assert capfd.readouterr() == ("", "")
    assert (count_cut(ws.candidates_dir), count_cut(ws.scores_dir("clip"))) == (2, 2)
    told = [row.step for row in read_provenance(ws) if NOTE in row.detail]
    assert told == ["images", "scores"]
    steps.pair(ws, config, OPTIONS)
    assert dataset_facts(DatasetFolder(ws.dataset_dir))["cut"] == {"clip": 2, "images": 2}
    card = (ws.dataset_dir / "README.md").read_text()
    assert "and truncated: 2 for `clip`, 2 for `images`" in card


def test_nothing_is_said_where_none_is_cut(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text("a red circle\na star\n")
    prompts = config.prompts.model_copy(update={"path": str(path)})
    config, ws = config.model_copy(update={"prompts": prompts}), Workspace(tmp_path / "work")
    steps.make_prompts(ws, config, OPTIONS)
    assert [result.notes for result in generate_and_score(ws, config)] == [(), ()]
    steps.pair(ws, config, OPTIONS)
    assert dataset_facts(DatasetFolder(ws.dataset_dir))["cut"] == {}
    assert "and truncated:" not in (ws.dataset_dir / "README.md").read_text()


def test_evaluation_tells_of_them(
    config: Config,
    tiny_model: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = EvaluatedModel(str(tiny_model))
    with caplog.at_level(logging.WARNING):
        evaluation = evaluate_models(tmp_path / "eval", config, model, model, OPTIONS)
    assert {f"generate: {NOTE}.", f"score clip: {NOTE}."} <= {*evaluation.notes}
    assert max(map(len, caplog.messages)) < 200
    assert LONG[:40] not in "".join(capfd.readouterr())


@pytest.mark.parametrize("family", ["sdxl", "flux"])
def test_each_encoder_has_its_own_length(family: str, tmp_path: Path) -> None:
    import diffusers

    FAMILIES[family](tmp_path / family)
    pipelines: Any = diffusers.DiffusionPipeline
    lengths = PromptLengths(pipelines.from_pretrained(tmp_path / family))
    fits = "a" * 1 + " a" * (LENGTH - 3)  # a letter is a token; begin and end are two more
    assert not lengths.is_cut(fits)
    assert lengths.is_cut(f"{fits} a")
