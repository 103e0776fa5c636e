"""Trackers never stop a training; curves are drawn from metrics.jsonl."""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from invdpo.schemas.errors import ConfigError
from invdpo.train.monitoring import trackers
from invdpo.train.monitoring.curves import plot_curves, read_series
from invdpo.train.monitoring.trackers import Trackers


class Broken:
    def log(self, metrics: object, step: int) -> None:
        raise OSError("no space")

    def close(self) -> None: ...


def recorded(folder: Path) -> Any:
    """What TensorBoard reads."""
    module = "tensorboard.backend.event_processing.event_accumulator"
    events = importlib.import_module(module).EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return events


def test_steps_beyond_the_state_go_even_if_both_files_are_of_one_second(tmp_path: Path) -> None:
    killed = Trackers(["tensorboard"], tmp_path, pytest.fail)
    for step in (1, 2, 3):
        killed.log({"step": step, "loss": 0.5})
    killed.close()
    (file,) = (tmp_path / "tensorboard").iterdir()
    second = int(time.time())
    file.rename(file.with_name(f"events.out.tfevents.{second}.~.0"))  # behind any other
    again = Trackers(["tensorboard"], tmp_path, pytest.fail, 2)
    for step in (3, 4):
        again.log({"step": step, "loss": 0.25})
    again.close()
    read = [(event.step, event.value) for event in recorded(tmp_path).Scalars("loss")]
    assert read == [(1, 0.5), (2, 0.5), (3, 0.25), (4, 0.25)]


def test_tensorboard_writes_what_it_is_given(tmp_path: Path) -> None:
    running = Trackers(["tensorboard"], tmp_path, pytest.fail)
    running.log({"step": 3, "loss": 0.5, "rewards/chosen": 1.0})
    running.close()
    events = recorded(tmp_path)
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(3, 0.5)]
    assert sorted(events.Tags()["scalars"]) == ["loss", "rewards/chosen"]


def test_a_failing_tracker_is_dropped_with_one_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(trackers.TRACKERS, "tensorboard", lambda folder, done: Broken())
    notes: list[str] = []
    running = Trackers(["tensorboard"], tmp_path, notes.append)
    running.log({"step": 1, "loss": 0.5})
    running.log({"step": 2, "loss": 0.4})
    running.close()
    assert len(notes) == 1
    assert "no space" in notes[0]


def test_wandb_missing_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match=r"invdpo\[wandb\]"):
        Trackers(["wandb"], tmp_path, pytest.fail)


def test_curves(tmp_path: Path) -> None:
    rows = [
        {"step": s, "loss": 1 / s, "grad_norm": 2.0, "rewards/chosen": s, "rewards/rejected": -s}
        for s in range(1, 21)
    ]
    rows[9]["validation/loss"] = 0.3
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_series(metrics)["validation/loss"] == ([10], [0.3])
    with Image.open(plot_curves(metrics, tmp_path / "curves.png")) as picture:
        assert picture.size == (1600, 600)


def test_weights_and_biases_gets_each_step_and_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Any, ...]] = []

    class Run:
        def log(self, metrics: dict[str, float], step: int) -> None:
            calls.append(("log", metrics, step))

        def finish(self) -> None:
            calls.append(("finish",))

    def init(**options: str) -> Run:
        calls.append(("init", options))
        return Run()

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    every = Trackers(["wandb"], tmp_path, lambda text: calls.append((text,)))
    every.log({"step": 3, "loss": 0.5})
    every.close()
    assert calls == [
        ("init", {"project": "invdpo", "dir": str(tmp_path / "wandb")}),
        ("log", {"loss": 0.5}, 3),
        ("finish",),
    ]


def test_a_tracker_that_can_not_begin_is_off_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_: str) -> None:
        raise RuntimeError("no key")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    notes: list[str] = []
    every = Trackers(["wandb"], tmp_path, notes.append)
    assert not every.trackers
    assert notes == [
        "Tracker wandb failed (RuntimeError: no key) and is off; metrics.jsonl goes on."
    ]
