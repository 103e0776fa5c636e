"""A training that is killed goes on bit for bit; one of another kind is not mixed in."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import WorkspaceError
from invdpo.schemas.interrupts import Interrupted
from invdpo.train import train
from invdpo.train.checkpoint.resume import identity_of
from invdpo.train.models.lora_format import FILE as WEIGHTS
from tests.processes import run_processes
from tests.train.test_distributed import lines, weights
from tests.train.tiny import pairs_of
from tests.train.worker import main

CASES: dict[str, dict[str, Any]] = {
    "lora": {"ema_decay": 0.9},
    "full": {"tuning": "full", "optimizer": "adafactor", "extrapolation": 0.5},
    "float16": {"dtype": "float16", "objective": "diffusion-dpo", "lr_scheduler": "cosine"},
}
MEASURED = {"seconds": 0, "pairs_per_second": 0, "peak_rss_gb": 0}
"""What no two runs have the same."""


@pytest.mark.parametrize("case", CASES)
def test_killed_and_started_again_gives_the_same_weights(
    config: TrainConfig, dataset: Path, tmp_path: Path, case: str
) -> None:
    steps = {"max_steps": 6, "validate_every": 2, "save_every": 3, "checkpoint_every": 2}
    config = config.model_copy(update=steps | CASES[case])
    killed, whole, cache = (tmp_path / name for name in ("killed", "whole", "cache"))
    arguments = (str(dataset), str(killed), str(cache), config.model_dump_json(), "5")
    assert run_processes(1, main, arguments, tmp_path / "printed") == [-signal.SIGKILL]
    assert [line["step"] for line in lines(killed)] == [1, 2, 3, 4, 5]
    result = train(dataset, killed, config, cache_dir=cache, progress=False)
    assert "Resuming after step 4 of 6." in result.notes
    expected = train(dataset, whole, config, cache_dir=cache, progress=False)
    for part in ("", "checkpoints/step-000003", "checkpoints/step-000006"):
        again, straight = weights(killed / part), weights(whole / part)
        assert all(torch.equal(again[name], straight[name]) for name in straight)
    assert (result.best_step, result.best_loss) == (expected.best_step, expected.best_loss)
    both = [[line | MEASURED for line in lines(out)] for out in (killed, whole)]
    assert both[0] == both[1]
    losses = [line["loss"] for line in lines(whole)]
    means = [line["running/loss"] for line in lines(killed)]
    assert means == pytest.approx([sum(losses[:n]) / n for n in range(1, 7)])
    events = EventAccumulator(str(killed / "tensorboard"))
    events.Reload()
    assert sorted(event.step for event in events.Scalars("loss")) == [1, 2, 3, 4, 5, 6]


def test_a_finished_training_has_nothing_left_to_do(run: Any) -> None:
    first = run("out")
    before = lines(first.output)
    again = run("out")
    assert again.steps == 3
    assert lines(again.output) == before
    assert again.metrics == before[-1]
    assert "All 3 steps are done: nothing was trained. Use --restart to start again." in again.notes
    assert (again.best_step, again.forwards) == (first.best_step, first.forwards)


def test_a_finished_training_whose_weights_are_gone_is_no_success(run: Any) -> None:
    output = run("out").output
    (output / WEIGHTS).unlink()
    with pytest.raises(WorkspaceError, match=f"{WEIGHTS}: missing, though .*--restart"):
        run("out")
    assert run("out", restart=True).steps == 3
    assert (output / WEIGHTS).is_file()


def test_names_of_the_tensors_may_not_change_without_a_word(run: Any) -> None:
    """A finished training wrote nothing again, and its report named the new format."""
    run("out")
    with pytest.raises(WorkspaceError, match='lora_format: the state has nothing, now "kohya"'):
        run("out", lora_format="kohya")


def test_more_steps_go_on_from_the_last(run: Any) -> None:
    run("out", max_steps=2, keep="last")
    more = run("out", max_steps=4, keep="last")
    whole = run("whole", max_steps=4, keep="last")
    ours, theirs = weights(more.output), weights(whole.output)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    with pytest.raises(WorkspaceError, match="max_steps: the state has 4, now 3"):
        run("out", max_steps=3, keep="last")


def test_another_configuration_is_refused_and_its_difference_shown(run: Any) -> None:
    first = run("out")
    before = weights(first.output)
    with pytest.raises(WorkspaceError) as error:
        run("out", learning_rate=5e-5, beta=7.0)
    text = str(error.value)
    assert "learning_rate: the state has 0.01, now 5e-05" in text
    assert "beta: the state has 2000.0, now 7.0" in text
    assert "--restart" in text
    assert all(torch.equal(before[k], v) for k, v in weights(first.output).items())
    anew = run("out", restart=True, learning_rate=5e-5)
    assert [line["step"] for line in lines(anew.output)] == [1, 2, 3]
    assert lines(anew.output)[0]["learning_rate"] == 5e-5


def test_images_and_report_of_a_training_that_is_thrown_away_are_gone(
    run: Any, config: TrainConfig, dataset: Path, tmp_path: Path, cache_dir: Path
) -> None:
    """The card showed the last image of the longer training, and a push published all of them."""
    output = run("out", pictures_every=1).output
    assert len(list((output / "pictures").glob("*.png"))) == 4
    run("out", restart=True, max_steps=2, pictures_every=2)
    names = sorted(path.name for path in (output / "pictures").iterdir())
    assert names == ["prompts.txt", "step-000000.png", "step-000002.png"]

    def stop(_: object) -> None:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        train(dataset, output, config, cache_dir=cache_dir, restart=True, on_step=stop)
    assert not (output / "pictures").exists()
    assert not (output / "training.json").exists()


@pytest.mark.parametrize(
    "changes",
    [{"batch_size": 1, "gradient_accumulation_steps": 2}, {"unet_batch_size": 3}, {"trackers": ()}],
)
def test_what_does_not_change_the_result_may_change(run: Any, changes: dict[str, Any]) -> None:
    run("out", max_steps=2)
    assert run("out", **changes).steps == 3


def test_another_model_or_other_pairs_are_told(
    run: Any, xl_pipeline: Path, dataset: Path, tmp_path: Path
) -> None:
    run("out")
    with pytest.raises(WorkspaceError, match="model: the state has"):
        run("out", model=str(xl_pipeline))


def test_margins_are_told_where_they_decide_the_loss(dataset: Path) -> None:
    pairs = pairs_of(dataset)
    weighed, other = ([replace(p, margin=m) for p in pairs] for m in (0.5, 0.7))
    plain, one, another = (
        identity_of("m", "p", {"train": some}, 4, margins=some is not pairs)
        for some in (pairs, weighed, other)
    )
    assert "margins" not in plain
    assert {name for name in one if one[name] != another[name]} == {"margins"}


def test_a_damaged_state_is_passed_over(run: Any) -> None:
    first = run("out")
    path = next(first.output.glob("state/step-*/weights.safetensors"))
    path.write_bytes(path.read_bytes()[:-1])
    again = run("out")
    assert any("damaged training state was skipped" in note for note in again.notes)
    assert not any("nothing was trained" in note for note in again.notes)
    assert [line["step"] for line in lines(again.output)] == [1, 2, 3]


def test_states_hold_no_pickle(run: Any) -> None:
    files = [p for p in run("out").output.glob("state/**/*") if p.is_file()]
    assert {p.suffix for p in files} == {".safetensors", ".json"}
    assert json.loads(next(p for p in files if p.suffix == ".json").read_text())
    assert all(load_file(p) is not None for p in files if p.suffix == ".safetensors")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_asked_to_stop_saves_its_step(
    config: TrainConfig, dataset: Path, cache_dir: Path, tmp_path: Path, number: int
) -> None:
    """Far from the next state that was due; it goes on to what one without a stop comes to."""
    config = config.model_copy(update={"max_steps": 4, "validate_every": 4})
    before = signal.getsignal(number)

    def ask(metrics: Any) -> None:
        if metrics["step"] == 2:
            os.kill(os.getpid(), number)

    given: dict[str, Any] = {"cache_dir": cache_dir, "progress": False}
    with pytest.raises(Interrupted, match="step 2 of 4 is saved") as stopped:
        train(dataset, tmp_path / "cut", config, on_step=ask, **given)
    assert stopped.value.number == number
    assert signal.getsignal(number) == before
    result = train(dataset, tmp_path / "cut", config, **given)
    assert "Resuming after step 2 of 4." in result.notes
    train(dataset, tmp_path / "whole", config, **given)
    cut, whole = (weights(tmp_path / name) for name in ("cut", "whole"))
    assert all(torch.equal(cut[name], whole[name]) for name in whole)
