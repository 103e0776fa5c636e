"""With which model one of rounds, or one that was tuned from a tuned one, is compared."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from invdpo.curate.evaluation.models import EvaluatedModel
from invdpo.schemas import ConfigError
from invdpo.schemas.config import Config
from invdpo.trained import BaseModel, find_base, prompts_seen, read_training
from invdpo.tuned_models import find_models
from tests.invdpo.test_trained import base_of, pipeline, write_report

__all__ = ["pipeline"]


def model(folder: Path, like: Path, base: Path, number: int) -> Path:
    """A whole model of weights of its own, with the report of its training from `base`."""
    shutil.copytree(like, folder)
    settings = folder / "scheduler" / "scheduler_config.json"
    settings.write_text(settings.read_text() + "\n" * number)
    return write_report(folder, base, data={"prompts": {"train": [f"prompt {number}"]}})


@pytest.fixture
def work(pipeline: Path, tmp_path: Path) -> Path:
    """Two rounds of all weights, which began with a model that had been tuned before."""
    work = tmp_path / "work"
    first = model(tmp_path / "first", pipeline, pipeline, 1)
    one = model(work / "round-001" / "tuned", pipeline, first, 2)
    model(work / "round-002" / "tuned", pipeline, one, 3)
    (work / "rounds.json").write_text("{}")
    return work


def test_a_model_of_rounds_is_compared_with_the_one_that_the_first_round_began_with(
    work: Path, pipeline: Path
) -> None:
    """And with no earlier one, unless that is named."""
    first, tuned = work.parent / "first", work / "round-002" / "tuned"
    assert base_of(tuned) == BaseModel(str(first))
    assert base_of(first) == BaseModel(str(pipeline))
    one = work / "round-001" / "tuned"
    for named in (one, first, pipeline):
        assert base_of(tuned, named) == BaseModel(str(named))
    with pytest.raises(ConfigError, match="which has other weights"):
        base_of(one, tuned)


def test_rounds_that_were_moved_find_each_other(work: Path) -> None:
    """Reports name the folders of the machine that trained."""
    first = work.parent / "first"
    moved = work.rename(work.parent / "here")
    tuned = moved / "round-002" / "tuned"
    assert base_of(tuned) == BaseModel(str(first))
    one = moved / "round-001" / "tuned"
    assert base_of(tuned, one) == BaseModel(str(one))
    training = read_training(tuned)
    assert training
    seen = {"train": {"prompt 3", "prompt 2", "prompt 1"}}
    assert prompts_seen(training) == seen


def test_a_lora_is_put_on_the_model_that_it_was_trained_on(work: Path) -> None:
    """It was put on the model that this one had been tuned from, which nobody trained."""
    first = work.parent / "first"
    lora = write_report(work.parent / "lora", first)
    (lora / "pytorch_lora_weights.safetensors").touch()
    base, (tuned,) = find_models(Config(), Config(), [lora], lambda _: None)
    assert base == EvaluatedModel(str(first))
    assert (tuned.model, tuned.lora) == (str(first), str(lora))
    assert find_base(lora, read_training(lora), None, whole=True) == BaseModel(str(first))
