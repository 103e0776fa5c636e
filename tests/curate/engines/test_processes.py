"""One process a device: the same tables, and what happens when one of them fails or is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from invdpo.curate import steps
from invdpo.curate.engines import OnDevices, Stage
from invdpo.curate.runner import Goal, RunOptions, StepResult
from invdpo.curate.storage.parts import list_parts, read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import ConfigError, InvdpoError, ModelError
from invdpo.schemas.tables import Record
from tests.curate.goals import run_goals
from tests.curate.test_runner import SCHEMA, Numbers
from tests.curate.tiny import tiny_config

ROOT = Path(__file__).parents[3]
QUIET = RunOptions(progress=False)


@dataclass
class Tell(Stage):
    """Tells which process worked on a row; or fails, dies or dawdles."""

    ill: str = ""
    name = "tell"
    schema = SCHEMA
    needs: Sequence[str] = ()
    chunk = 2

    def __call__(self, rows: Iterable[Record]) -> Iterator[Record]:
        for row in rows:
            if self.ill == "fails":
                raise ModelError("no such weights")
            if self.ill == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.ill == "errs":
                raise RuntimeError("what is this")
            if self.ill == "dawdles":
                time.sleep(600)
            yield row | {"status": "ok", "error": str(os.getpid())}


def tell(ill: str, name: str) -> Tell:
    return Tell(ill)


def run(sink: Path, *ills: str) -> StepResult:
    devices = OnDevices(tuple(partial(tell, ill) for ill in ills))
    goal = Goal("tell", "tell", sink, {"tell": {}})
    return run_goals(devices, [Numbers(n) for n in range(6)], [goal], QUIET)[0]


def test_parts_are_shared_out_and_gone_on_with(tmp_path: Path) -> None:
    assert run(tmp_path, "", "").made == 18
    tables = [read_part(part) for part in list_parts(tmp_path)]
    assert [table["n"].to_pylist() for table in tables] == [
        [3 * n + k for k in range(3)] for n in range(6)
    ]
    processes = [set(table["error"].to_pylist()) for table in tables]
    assert all(len(found) == 1 for found in processes)
    assert len(set.union(*processes)) == 2
    assert str(os.getpid()) not in set.union(*processes)
    list_parts(tmp_path)[3].unlink()
    again = run(tmp_path, "", "")
    assert (again.made, again.resumed) == (3, 15)


def test_one_that_fails_leaves_the_work_to_the_other_and_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such weights"):
        run(tmp_path, "", "fails")
    assert len(list_parts(tmp_path)) >= 5


def test_all_that_fail_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such weights"):
        run(tmp_path, "fails", "fails")
    assert not list_parts(tmp_path)


def test_one_that_dies_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(InvdpoError, match=r"process 2 ended by signal 9 .* parts are kept"):
        run(tmp_path, "", "dies")
    assert run(tmp_path, "", "").made >= 3


def test_what_was_not_foreseen_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvdpoError, match="process 1: RuntimeError: what is this"):
        run(tmp_path, "errs", "")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\nfrom tests.curate.engines.test_processes import run\n"
        f"if __name__ == '__main__':\n    run(Path({str(tmp_path)!r}), 'dawdles', 'dawdles')\n"
    )
    (tmp_path / "start.py").write_text(script)
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "start.py")], env=os.environ | {"PYTHONPATH": str(ROOT)}
    ) as process:
        children = until(
            lambda: (
                process.poll() is not None
                or (len(workers(process.pid)) == 2 and workers(process.pid))
            )
        )
        process.kill()
    assert children, "it ended before it had started two"
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


def workers(parent: int) -> list[int]:
    """The processes that Python's `spawn` started for `parent`."""
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    found = [int(child) for child in text.split()]
    return [n for n in found if b"spawn_main" in Path(f"/proc/{n}/cmdline").read_bytes()]


def until(found: object) -> list[int]:
    """Wait for something to be true, and give it."""
    for _ in range(4_800):
        if value := found():  # type: ignore[operator]
            return value if isinstance(value, list) else []
        time.sleep(0.05)
    pytest.fail("waited in vain")


def test_generation_on_two_devices_makes_the_same_candidates(
    tiny_model: Path, tmp_path: Path
) -> None:
    options = RunOptions(part_size=3, progress=False)
    alone, both = Workspace(tmp_path / "alone"), Workspace(tmp_path / "both")
    config = tiny_config(tiny_model, generate={"device": "cpu"})
    two = tiny_config(tiny_model, generate={"device": "cpu,cpu"})
    for ws in (alone, both):
        steps.make_prompts(ws, config, options)
    steps.generate(alone, config, options)
    assert steps.generate(both, two, options).made == 24
    assert both.read_table(both.candidates_dir).equals(alone.read_table(alone.candidates_dir))
    assert steps.generate(both, config, options).resumed == 24
    list_parts(both.candidates_dir)[0].unlink()
    two = two.model_copy(update={"annotate": two.annotate.model_copy(update={"device": "cpu,cpu"})})
    ray = RunOptions(part_size=3, progress=False, engine="ray")
    for step in (steps.generate, steps.annotate):
        with pytest.raises(ConfigError, match="several devices work only with the engine `local`"):
            step(both, two, ray)


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("cuda:93", "'cuda:93' is not available. Available: auto, cpu"),
        ("gpu", "'gpu' is not available"),
        ("cpu,auto", "name each of them"),
        (",", "empty"),
    ],
)
def test_devices_that_are_none(tiny_model: Path, tmp_path: Path, device: str, said: str) -> None:
    ws, options = Workspace(tmp_path / "work"), RunOptions(progress=False)
    config = tiny_config(tiny_model, generate={"device": device})
    steps.make_prompts(ws, config, options)
    with pytest.raises(ConfigError, match=said):
        steps.generate(ws, config, options)
