from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from invdpo.schemas.errors import WorkspaceError
from invdpo.train.checkpoint.state import TrainState, differences, load_state, save_state


def small(step: int) -> TrainState:
    weights = {"w": torch.full((1000,), float(step))}
    return TrainState(step, {"a": 1}, {}, {}, weights, {}, {}, scaler={"scale": 2.0})


def test_floats_and_dtypes_come_back_exactly(tmp_path: Path) -> None:
    progress = {"best": math.inf, "worst": -math.inf, "sum": 0.1 + 0.2, "tiny": 5e-324, "n": 2**60}
    weights = {
        "half": torch.tensor([1 / 3]).bfloat16(),
        "transposed": torch.arange(6.0).view(2, 3).T,
        "odd": torch.tensor([-0.0, math.inf, 1e-45]),
    }
    save_state(tmp_path, replace(small(3), progress=progress, weights=weights))
    state, _ = load_state(tmp_path)
    assert state is not None
    assert state.progress == progress
    assert state.scaler == {"scale": 2.0}
    assert all(state.weights[n].dtype == t.dtype for n, t in weights.items())
    assert all(torch.equal(state.weights[n], t) for n, t in weights.items())
    assert state.weights["odd"][0].signbit()


def test_only_the_newest_stays(tmp_path: Path) -> None:
    for step in (9, 10, 1_000_000):
        save_state(tmp_path, small(step))
    assert [p.name for p in tmp_path.iterdir()] == ["step-1000000"]


def test_the_same_step_may_be_saved_again(tmp_path: Path) -> None:
    save_state(tmp_path, small(9))
    save_state(tmp_path, replace(small(9), config={"a": 2}))
    state, _ = load_state(tmp_path)
    assert state is not None
    assert state.config == {"a": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["step-000009"]


def test_an_empty_folder_holds_no_state(tmp_path: Path) -> None:
    assert load_state(tmp_path / "none") == (None, [])


def two_states(folder: Path) -> Path:
    """States of steps 1 and 2, as a kill before the older one is removed leaves them."""
    save_state(folder / "later", small(2))
    save_state(folder, small(1))
    (folder / "later/step-000002").rename(folder / "step-000002")
    (folder / "later").rmdir()
    return folder / "step-000002"


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "empty"])
def test_a_damaged_state_is_passed_over_with_a_note(tmp_path: Path, name: str, damage: str) -> None:
    path = two_states(tmp_path) / name
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[:-3])
    elif damage == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    state, (note,) = load_state(tmp_path)
    assert state is not None
    assert state.step == 1
    assert "step-000002: a damaged training state was skipped (" in note


def test_a_digit_changed_in_the_json_is_damage(tmp_path: Path) -> None:
    path = two_states(tmp_path) / "state.json"
    path.write_text(path.read_text().replace('"a": 1', '"a": 2'))
    state, (note,) = load_state(tmp_path)
    assert state is not None
    assert state.step == 1
    assert "state.json has a wrong checksum" in note


def test_a_save_over_a_damaged_state_of_the_same_step(tmp_path: Path) -> None:
    (two_states(tmp_path) / "state.json").unlink()
    save_state(tmp_path, small(2))
    state, notes = load_state(tmp_path)
    assert state is not None
    assert (state.step, notes) == (2, [])
    assert [p.name for p in tmp_path.iterdir()] == ["step-000002"]


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
import torch
from invdpo.train.checkpoint import state as module
from invdpo.train.checkpoint.state import TrainState, load_state, save_state

def small(step):
    return TrainState(step, {}, {}, {}, {"w": torch.full((1000,), float(step))}, {}, {})

def deadly(call, count):
    def wrapped(*args, **kwargs):
        count[0] -= 1
        if count[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return wrapped

def save_and_die(folder, step, at):
    count = [at]
    for place, name in ((os, "fsync"), (os, "replace"), (shutil, "rmtree"), (Path, "write_text"),
                        (module, "save_file")):
        setattr(place, name, deadly(getattr(place, name), count))
    save_state(folder, small(step))
    os._exit(0)

def survivor(folder, before, step, at):
    save_state(folder, small(before))
    child = os.fork()
    if child == 0:
        save_and_die(folder, step, at)
    killed = os.waitpid(child, 0)[1] == signal.SIGKILL
    state, notes = load_state(folder)
    assert float(state.weights["w"][999]) == state.step and notes == [], (at, notes)
    save_state(folder, small(step))
    assert [p.name for p in folder.iterdir()] == [f"step-{step:06d}"], at
    return killed, state.step

root = Path(sys.argv[1])
for step in (1, 2):
    at, steps = 0, []
    while True:
        at += 1
        killed, last = survivor(root / f"{step}-{at}", 1, step, at)
        if not killed:
            break
        steps.append(last)
    print(*steps)
"""


def test_killed_anywhere_in_a_save_a_sound_state_is_left(tmp_path: Path) -> None:
    """A real process is killed before each of a save's calls to the disk, in turn."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    over_itself, newer = ([int(step) for step in line.split()] for line in done.stdout.splitlines())
    assert set(over_itself) == {1}
    assert newer == sorted(newer)
    assert newer.count(1) > 5
    assert newer.count(2) > 1


def test_a_full_disk_is_told_and_the_older_state_stays(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of a process are Unix's")
    save_state(tmp_path, small(1))
    big = replace(small(2), weights={"w": torch.zeros(10_000_000)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, before[1]))
    try:
        with pytest.raises(WorkspaceError, match=r"can't be used \(File too large\)"):
            save_state(tmp_path, big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
    state, notes = load_state(tmp_path)
    assert state is not None
    assert (state.step, notes) == (1, [])


def test_a_file_in_the_folder_s_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="File exists"):
        save_state(tmp_path / "file", small(1))


def test_differences_name_key_and_values() -> None:
    saved = {"learning_rate": 1e-4, "targets": ("a", "b"), "device": "cpu", "seed": 0, "old": None}
    now = {"learning_rate": 5e-5, "targets": ["a", "b"], "device": "cuda", "seed": 0, "ema": 0.99}
    assert differences(saved, now, {"device"}) == [
        "learning_rate: the state has 0.0001, now 5e-05",
        "old: the state has null, now nothing",
        "ema: the state has nothing, now 0.99",
    ]


def test_a_text_is_not_the_number_it_looks_like() -> None:
    assert differences({"a": "1"}, {"a": 1}) == ['a: the state has "1", now 1']
