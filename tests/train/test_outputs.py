"""What a training leaves in its output, and what it does about others there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError, WorkspaceError
from invdpo.schemas.io.lock import FolderLock
from invdpo.train import train
from invdpo.train.diagnostics import overtraining
from invdpo.train.run import lock_output
from tests.locks import held_elsewhere, killed_while_writing


def test_a_second_training_is_refused_before_it_does_anything(
    config: TrainConfig, dataset: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    with held_elsewhere(FolderLock(output, "training there")):
        with pytest.raises(WorkspaceError, match=f"out: process {os.getpid()} is training there"):
            train(dataset, output, config, restart=True, progress=False)
        assert sorted(os.listdir(output)) == [".lock", ".lock.pid"]
        assert os.listdir(tmp_path) == ["out"]


def test_a_data_set_is_no_output(config: TrainConfig, dataset: Path, tmp_path: Path) -> None:
    """Its card would be replaced by that of a model."""
    folder = Path(shutil.copytree(dataset, tmp_path / "dataset"))
    before = sorted(folder.rglob("*"))
    with pytest.raises(WorkspaceError, match=r"dataset: holds other files, .*Give a new folder"):
        train(dataset, folder, config, restart=True, progress=False)
    assert sorted(folder.rglob("*")) == before
    assert os.listdir(tmp_path) == ["dataset"]


@pytest.mark.parametrize("left", ["pictures/step-000000.png", "metrics.jsonl", "state/.lock"])
def test_what_a_killed_training_left_first_is_its_own(tmp_path: Path, left: str) -> None:
    """Images of step 0 are there before any metric."""
    output = tmp_path / "out"
    (output / left).parent.mkdir(parents=True)
    (output / left).touch()
    with lock_output(output):
        assert (output / left).exists()


@pytest.mark.parametrize("option", ["model", "start_from"])
@pytest.mark.parametrize("place", ["", "lora.safetensors", "checkpoints/step-000001"])
def test_weights_to_begin_with_are_not_replaced(
    config: TrainConfig, dataset: Path, tmp_path: Path, option: str, place: str
) -> None:
    output, weights = tmp_path / "out", tmp_path / "out" / place
    (output / "state").mkdir(parents=True)
    weights.touch() if weights.suffix else weights.mkdir(parents=True, exist_ok=True)
    own = config.model_copy(update={option: str(weights)})
    with pytest.raises(ConfigError, match=rf"train\.{option}: .* is in the output folder, .*/out"):
        train(dataset, output, own, restart=True, progress=False)
    assert (output / "state").is_dir()


def test_of_several_processes_the_main_one_holds_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    with held_elsewhere(FolderLock(tmp_path)), lock_output(tmp_path):
        pass
    monkeypatch.setenv("RANK", "0")
    with held_elsewhere(FolderLock(tmp_path)), pytest.raises(WorkspaceError), lock_output(tmp_path):
        pass


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_others_may_read_what_a_training_leaves(
    config: TrainConfig, dataset: Path, tmp_path: Path, tuning: str
) -> None:
    changes = {"tuning": tuning, "max_steps": 1, "save_every": 1, "pictures_every": 1}
    before = os.umask(0o022)
    try:
        train(dataset, tmp_path / "out", config.model_copy(update=changes), progress=False)
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"weights.safetensors", "training.json", "curves.png", "step-000001.png"} <= {
        path.name for path in files
    }
    assert [path.name for path in files if path.stat().st_mode & 0o777 != 0o644] == []


def test_the_next_run_removes_what_a_killed_one_left(
    config: TrainConfig, dataset: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    config = config.model_copy(update={"max_steps": 2, "pictures_every": 2})
    train(dataset, output, config, progress=False)
    before = {path: path.stat().st_ino for path in tmp_path.rglob("*") if "state" in path.parts}
    (latents,) = (tmp_path / "trajectories").glob("latents-*")
    for folder in (output, output / "pictures", latents):
        killed_while_writing(folder / "file")
    for name in ("state/step-000001", "state/.step-000003.tmp", ".fresh", ".old"):
        (output / name).mkdir()
        (output / name / "weights.safetensors").touch()
    result = train(dataset, output, config, progress=False)
    assert "All 2 steps are done" in result.notes[0]
    paths = list(tmp_path.rglob("*"))
    assert [path.name for path in paths if path.name.startswith(".")] == []
    assert {p: p.stat().st_ino for p in paths if "state" in p.parts} == before


def test_a_falling_reward_is_told_once_while_it_can_be_stopped(
    config: TrainConfig,
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(overtraining, "falling_reward", lambda series: "it falls")
    short = config.model_copy(update={"max_steps": 4, "validate_every": 1})
    result = train(dataset, tmp_path / "out", short, progress=False)
    told = [text for text in caplog.messages if "it falls" in text]
    assert [text.split(".")[0] for text in told] == [
        "Step 1 of 4: it falls",
        "Over-trained: it falls",
    ]
    assert [text for text in result.notes if "it falls" in text] == told[1:]
