"""Trackers never stop a training; curves and running means are drawn from metrics.jsonl."""

from __future__ import annotations

import importlib
import io
import json
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from invdpo.schemas.errors import ConfigError
from invdpo.train.monitoring import trackers
from invdpo.train.monitoring.curves import plot_curves, read_series
from invdpo.train.monitoring.running_means import METRICS, STEPS, RunningMeans
from invdpo.train.monitoring.trackers import TrackedRun, Trackers

SHEET = Image.new("RGB", (34, 16), (0, 200, 10))


class Broken:
    def log(self, metrics: object, step: int) -> None:
        raise OSError("no space")

    def log_images(self, *given: object) -> None: ...

    def close(self) -> None: ...


def opened(
    folder: Path, name: str = "tensorboard", note: Any = pytest.fail, done: int = 0
) -> Trackers:
    return Trackers([name], TrackedRun(folder, "lab/tuned", {"beta": 2000.0}, done), note)


def recorded(folder: Path) -> Any:
    """What TensorBoard reads."""
    module = "tensorboard.backend.event_processing.event_accumulator"
    events = importlib.import_module(module).EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return events


def text(events: Any, tag: str) -> list[tuple[int, str]]:
    return [
        (event.step, event.tensor_proto.string_val[0].decode())
        for event in events.Tensors(f"{tag}/text_summary")
    ]


def test_steps_beyond_the_state_go_even_if_both_files_are_of_one_second(tmp_path: Path) -> None:
    killed = opened(tmp_path)
    for step in (1, 2, 3):
        killed.log({"step": step, "loss": 0.5})
    killed.close()
    (file,) = (tmp_path / "tensorboard").iterdir()
    second = int(time.time())
    file.rename(file.with_name(f"events.out.tfevents.{second}.~.0"))  # behind any other
    again = opened(tmp_path, done=2)
    for step in (3, 4):
        again.log({"step": step, "loss": 0.25})
    again.close()
    read = [(event.step, event.value) for event in recorded(tmp_path).Scalars("loss")]
    assert read == [(1, 0.5), (2, 0.5), (3, 0.25), (4, 0.25)]


def test_tensorboard_writes_what_it_is_given(tmp_path: Path) -> None:
    running = opened(tmp_path)
    running.log_images(SHEET, ["a red circle", "a dog"], 3)
    running.log({"step": 3, "loss": 0.5, "rewards/chosen": 1.0})
    running.close()
    events = recorded(tmp_path)
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(3, 0.5)]
    assert sorted(events.Tags()["scalars"]) == ["loss", "rewards/chosen"]
    (image,) = events.Images("validation/images")
    with Image.open(io.BytesIO(image.encoded_image_string)) as read:
        assert (image.step, read.size, read.tobytes()) == (3, SHEET.size, SHEET.tobytes())
    assert text(events, "run") == [(0, "lab/tuned\n\n    beta: 2000.0\n")]
    assert text(events, "validation/prompts") == [(3, "1. a red circle\n2. a dog")]


def test_a_failing_tracker_is_dropped_with_one_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(trackers.TRACKERS, "tensorboard", lambda run: Broken())
    notes: list[str] = []
    running = opened(tmp_path, note=notes.append)
    running.log({"step": 1, "loss": 0.5})
    running.log({"step": 2, "loss": 0.4})
    running.close()
    assert len(notes) == 1
    assert "no space" in notes[0]


def test_wandb_missing_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match=r"invdpo\[wandb\]"):
        opened(tmp_path, "wandb")


def test_wandb_is_given_name_options_metrics_and_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the package, which takes what version 0.20 and later take."""
    calls = list[Any]()

    class Run:
        def __init__(self, **given: object) -> None:
            calls.append(given)

        def log(self, data: object, step: int) -> None:
            calls.append((step, data))

        def finish(self) -> None:
            calls.append("finished")

    module: Any = ModuleType("wandb")
    module.init = Run
    module.Image = lambda image, caption: (image.size, caption)
    monkeypatch.setitem(sys.modules, "wandb", module)
    running = opened(tmp_path, "wandb")
    running.log_images(SHEET, ["a red circle", "a dog"], 3)
    running.log({"step": 3, "loss": 0.5})
    running.close()
    folder = str(tmp_path / "wandb")
    expected = {"project": "invdpo", "name": "lab/tuned", "config": {"beta": 2000.0}}
    images = {"validation/images": (SHEET.size, "1. a red circle\n2. a dog")}
    begun, *logged = calls
    assert begun == expected | {"dir": folder}
    assert logged == [(3, images), (3, {"loss": 0.5}), "finished"]


def test_running_means_by_hand_and_after_a_restart(tmp_path: Path) -> None:
    """Steps 1, 2, …: the mean of the last 50 losses is (n + n−49)/2 from the 50th on.

    The file is that of a version without running means, and a kill left steps beyond the state.
    """
    rows = [{"step": s, "loss": float(s), "rewards/margins": -s / 10} for s in range(1, 71)]
    means = RunningMeans()
    before, now = [means.add(row) for row in rows[:60]][-1], means.add(rows[60])
    assert before == {"running/loss": 35.5, "running/rewards/margins": pytest.approx(-3.55)}
    assert RunningMeans().add({"loss": 3.0}) == {"running/loss": 3.0}
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"torn')
    assert RunningMeans.after(60, path).add(rows[60]) == now
    assert RunningMeans.after(0, path).add(rows[60]) == {
        "running/loss": 61.0,
        "running/rewards/margins": -6.1,
    }
    assert (STEPS, len(METRICS)) == (50, 3)


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


def test_a_tracker_that_can_not_begin_is_off_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_: str) -> None:
        raise RuntimeError("no key")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    notes: list[str] = []
    running = opened(tmp_path, "wandb", notes.append)
    assert not running.trackers
    assert notes == [
        "Tracker wandb failed (RuntimeError: no key) and is disabled; "
        "metrics.jsonl is still written."
    ]
