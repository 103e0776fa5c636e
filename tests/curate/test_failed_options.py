"""Options of a step that failed don't decide the next one; a pairing says why it has no pair."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.curate import steps
from invdpo.curate.generators.pipeline import ImageGenerator, ImageRequest, Picture
from invdpo.curate.runner import RunOptions
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError, ModelError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import load_config
from tests.curate.tiny import tiny_config
from tests.workspaces import CONFIG, build, built

__all__ = ["built"]

OPTIONS = RunOptions(part_size=3, progress=False)


def invdpo(*words: object) -> Any:
    return CliRunner().invoke(app, [*map(str, words)])


def noise(requests: Sequence[ImageRequest]) -> list[Picture]:
    return [np.random.default_rng(r.seed).random((16, 16, 3), np.float32) for r in requests]


def stop_after(batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that runs out of memory at the batch after so many."""
    calls: list[int] = []

    def draw(self: ImageGenerator, requests: Sequence[ImageRequest]) -> list[Picture]:
        calls.append(len(requests))
        if len(calls) > batches:
            raise ModelError("Out of memory.")
        return noise(requests)

    monkeypatch.setattr(ImageGenerator, "__call__", draw)


def test_a_failed_pairing_leaves_the_configuration_alone(tmp_path: Path) -> None:
    """All candidates are of one model, so no two of one seed can meet."""
    ws = build(tmp_path / "work")
    before = ws.config_path.read_bytes()
    failed = invdpo("curate", "pair", ws.root, "--policy", "same-seed", "--overwrite")
    assert failed.exit_code == 1
    assert ws.config_path.read_bytes() == before
    again = invdpo("curate", "pair", ws.root)
    assert again.exit_code == 0, again.stderr


def test_a_pairing_without_a_pair_says_why(tmp_path: Path) -> None:
    ws = build(tmp_path / "work")
    changed = CONFIG.model_copy(
        update={"pair": CONFIG.pair.model_copy(update={"policy": "same-seed"})}
    )
    with pytest.raises(DataError) as error:
        steps.pair(ws, changed, RunOptions(progress=False, overwrite=True))
    assert "No pair was found" in str(error.value)
    assert "no two candidates that the policy lets meet: 6" in str(error.value)
    assert "there would be 0: choose another --policy" in str(error.value)
    assert ".report.json for the reasons" not in str(error.value)


def test_without_scores_of_the_weights_those_there_are_can_choose(built: Path) -> None:
    result = invdpo("curate", "pair", built, "--weight", "colourful=1", "--name", "mine")
    assert result.exit_code == 1
    assert "Or choose pairs by others: --weight clip=1,composition=1" in result.stderr
    result = invdpo("curate", "pair", built, "--reviews", "--name", "mine")
    assert "First run: invdpo curate review, or give --no-reviews" in result.stderr


def test_a_margin_too_large_is_told_with_the_largest(tmp_path: Path) -> None:
    ws = build(tmp_path / "work")
    result = invdpo("curate", "pair", ws.root, "--min-margin", 99, "--overwrite")
    assert result.exit_code == 1
    found = re.search(r"The largest margin is (\S+); with --min-margin 0 there", result.stderr)
    assert found
    assert 0 < float(found[1]) < 99


def test_prompts_without_a_graph_are_named_when_no_pair_comes_out(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`composition` on 2 prompts that no rule can read: 4 candidates without its score."""
    stop_after(99, monkeypatch)
    (tmp_path / "p.txt").write_text("love, actually\nthe sound of silence\n")
    prompts = {"source": "file", "path": str(tmp_path / "p.txt")}
    config = tiny_config(
        tiny_model,
        prompts=prompts,
        pair={"weights": {"composition": 1.0, "clip": 0.25}, "min_margin": 0.0},
        score={"scorers": ["composition", "clip"]},
    )
    ws = Workspace(tmp_path / "work")
    assert steps.make_prompts(ws, config, OPTIONS).notes[-1].startswith("0 of 2 prompts have")
    steps.generate(ws, config, OPTIONS)
    steps.annotate(ws, config, OPTIONS)
    steps.score(ws, config, OPTIONS)
    with pytest.raises(
        DataError, match="composition could not score 4 of 4: 4 x no intended scene"
    ) as error:
        steps.pair(ws, config, OPTIONS)
    assert "To pair without it: --weight clip=0.25" in str(error.value)


def test_a_run_keeps_the_options_of_the_steps_that_were_done(tmp_path: Path) -> None:
    work = tmp_path / "work"
    words = ["--num-prompts", 2, "--num-candidates", 2, "--num-inference-steps", 1]
    failed = invdpo("curate", "run", work, *words, "--policy", "same-seed")
    assert failed.exit_code == 1
    found = load_config(work / "invdpo.yaml")
    assert (found.prompts.num_prompts, found.generate.num_candidates) == (2, 2)
    assert found.pair == Config().pair


def test_a_run_that_lacks_a_scorer_of_the_pairs_is_refused_before_anything(tmp_path: Path) -> None:
    failed = invdpo("curate", "run", tmp_path / "work", "--scorers", "composition")
    assert failed.exit_code == 1
    assert failed.stderr == (
        "Error: Pairs are chosen by clip, too, which this run does not score: "
        "--scorers composition.\nAdd it: --scorers composition,clip\n"
        "Or choose pairs by others: --weight composition=1\n"
    )
    assert not (tmp_path / "work" / "prompts.parquet").exists()


@pytest.mark.parametrize(("batches", "kept"), [(0, 4.0), (2, 2.0)])
def test_options_stay_once_a_part_was_made_by_them(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int, kept: float
) -> None:
    """A part is 6 candidates, so two batches of 4."""
    stop_after(batches, monkeypatch)
    ws = Workspace(tmp_path / "work")
    steps.make_prompts(ws, tiny_config(tiny_model), OPTIONS)
    changed = tiny_config(tiny_model, generate={"guidance_scale": 2.0})
    with pytest.raises(ModelError, match="Out of memory"):
        steps.generate(ws, changed, OPTIONS)
    assert load_config(ws.config_path).generate.guidance_scale == kept


def test_a_first_step_that_fails_leaves_no_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(steps, "write_part", full)
    ws = Workspace(tmp_path / "work")
    with pytest.raises(OSError, match="No space"):
        steps.make_prompts(ws, Config(), OPTIONS)
    assert not ws.config_path.exists()


def test_a_dry_run_does_not_speak_of_a_data_set_as_written(tmp_path: Path) -> None:
    ws = build(tmp_path / "work")
    looser = CONFIG.model_copy(update={"pair": CONFIG.pair.model_copy(update={"min_margin": 0.0})})
    for config in (CONFIG, looser):
        dry = RunOptions(progress=False, dry_run=True, overwrite=True)
        assert not any("dataset in" in note for note in steps.pair(ws, config, dry).notes)
    assert any("dataset in" in note for note in steps.pair(ws, CONFIG, OPTIONS).notes)
