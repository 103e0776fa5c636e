"""What is said of a training that went too far, and of validation pairs that are too few."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.io.files import append_line
from invdpo.train.diagnostics.overtraining import Series, Watch, overtraining, small_validation

LN2 = math.log(2)


def series(
    losses: Sequence[float], chosen: Sequence[float], validation: Sequence[float] = ()
) -> Series:
    steps = list(range(1, len(losses) + 1))
    metrics = {"loss": (steps, losses), "rewards/chosen": (steps, chosen)}
    every = steps[: len(validation)]
    return metrics | ({"validation/rewards/chosen": (every, validation)} if validation else {})


def test_few_validation_pairs() -> None:
    """1/√n of 100: 24 points for 18 pairs, 18 for 30."""
    assert "Only 18 validation pairs" in str(small_validation(18))
    assert "Only 1 validation pair to" in str(small_validation(1))
    assert "by 24 points of 100" in str(small_validation(18))
    assert "Hold out 30 or more" in str(small_validation(29))
    assert small_validation(30) is None
    assert small_validation(0) is None  # which has a note of its own


def test_pairs_that_are_known_by_heart() -> None:
    (text,) = overtraining(series([LN2, *[0.0002] * 10], [0.0] * 11), 0.5)
    assert text.startswith("Over-trained: the loss of the training pairs is 0.0002,")
    assert list(overtraining(series([LN2, *[0.02] * 10], [0.0] * 11), 0.5)) == []


def test_a_single_low_batch_is_not_over_training() -> None:
    assert list(overtraining(series([LN2] * 10 + [0.0], [0.0] * 11), 0.5)) == []


def test_a_chosen_reward_that_falls() -> None:
    """Of nine validations the last three have the mean -30, the three before -12."""
    values = (0.1, 0.2, -1, -8, -12, -16, -27, -30, -33)
    (text,) = overtraining(series([0.3] * 9, [0.0] * 9, values), 0.5)
    assert "the reward of the chosen images is -30 and falling (it was -12 before)" in text


@pytest.mark.parametrize(
    "values",
    [
        (0.0, -0.02, -0.04),  # the noise of a healthy training
        (-4.0, -3.0, -2.0),  # below 0, and rising
        (3.0, 2.0, 1.0),  # falling, and above 0
        (-33.0,),  # nothing to compare it with
    ],
)
def test_other_rewards_are_no_sign(values: Sequence[float]) -> None:
    assert list(overtraining(series([0.5] * 3, [0.0] * 3, values), 0.5)) == []


def test_a_fall_is_watched_for_at_validations(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Told at the first of them that shows it, not again, and not at the end, which is reported."""
    path = tmp_path / "metrics.jsonl"
    watch = Watch(path, TrainConfig(model="m", max_steps=6, validate_every=2))
    for step, reward in enumerate([0.0, 0.0, -5.0, -9.0, -13.0, -20.0], start=1):
        row = {"step": step, "loss": 0.5, "rewards/chosen": reward}
        append_line(path, json.dumps(row))
        watch(row)
    (text,) = caplog.messages
    assert text.startswith("Step 4 of 6: the reward of the chosen images is -9 and falling")


def test_training_rewards_serve_where_nothing_is_validated() -> None:
    (text,) = overtraining(series([0.5] * 4, [0.0, 0.0, -5.0, -9.0]), None)
    assert "is -9 and falling (it was -5 before)" in text


def test_training_rewards_serve_where_only_the_end_is_validated() -> None:
    """As in rounds: their trainings are short, and the one validation has nothing before it."""
    (text,) = overtraining(series([0.5] * 4, [0.0, 0.0, -5.0, -9.0], (-11.0,)), None)
    assert "is -9 and falling (it was -5 before)" in text


def test_no_step_beat_the_base_model() -> None:
    (text,) = overtraining(series([LN2] * 3, [0.0] * 3), LN2)
    assert "never fell below ln 2" in text


def test_an_objective_without_rewards_is_not_judged() -> None:
    assert list(overtraining({"loss": ([1], [0.001])}, 0.001)) == []
