"""Trackers never stop a training; curves are drawn from metrics.jsonl."""

from __future__ import annotations

import json
import sys
from pathlib import Path
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


def test_tensorboard_writes_what_it_is_given(tmp_path: Path) -> None:
    import importlib

    accumulate: Any = importlib.import_module(
        "tensorboard.backend.event_processing.event_accumulator"
    )

    running = Trackers(["tensorboard"], tmp_path, pytest.fail)
    running.log({"step": 3, "loss": 0.5, "rewards/chosen": 1.0})
    running.close()
    events = accumulate.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
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
