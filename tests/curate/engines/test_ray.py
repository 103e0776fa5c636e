"""The engine `ray` on a real local Ray: the same tables as `local`, resume included."""

from __future__ import annotations

import logging
import os
import shutil
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from invdpo.curate import steps
from invdpo.curate.engines import Stage
from invdpo.curate.runner import Goal, RunOptions
from invdpo.curate.storage.parts import list_parts, read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import InvdpoError, PluginError
from invdpo.schemas.tables import Record
from tests.curate.goals import run_goals
from tests.curate.test_runner import SCHEMA, Numbers
from tests.curate.tiny import tiny_config

pytestmark = pytest.mark.timeout(600)
LOCAL = RunOptions(part_size=3, progress=False)
RAY = RunOptions(part_size=3, progress=False, engine="ray")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One for all tests of this file; starting an actor may take a minute on a busy machine."""
    ray = pytest.importorskip("ray", reason="needs the extra ray")
    start = partial(ray.init, num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        start(logging_level=logging.ERROR)
    except Exception as error:  # Ray has no class of its own for it
        if "timed out during startup" not in str(error):
            raise
        ray.shutdown()  # it waits 30 seconds, whatever is configured; the files are warm now
        start(logging_level=logging.ERROR)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Workspace:
    ws = Workspace(tmp_path_factory.mktemp("local") / "work")
    config = tiny_config(tiny_model)
    steps.make_prompts(ws, config, LOCAL)
    steps.generate(ws, config, LOCAL)
    steps.annotate(ws, config, LOCAL)
    steps.score(ws, config, LOCAL)
    return ws


def folders(ws: Workspace) -> list[Path]:
    return [ws.candidates_dir, ws.annotations_dir("shapes"), ws.scores_dir("composition")]


def test_tables_are_those_of_local_and_unfinished_ones_are_gone_on_with(
    whole: Workspace, tiny_model: Path, tmp_path: Path
) -> None:
    ws, config = Workspace(tmp_path / "work"), tiny_config(tiny_model)
    steps.make_prompts(ws, config, RAY)
    assert steps.generate(ws, config, RAY).made == 24
    list_parts(ws.candidates_dir)[2].unlink()
    again = steps.generate(ws, config, RAY)
    assert (again.made, again.resumed) == (6, 18)
    assert [result.made for result in steps.annotate(ws, config, RAY)] == [24]
    assert [result.made for result in steps.score(ws, config, RAY)] == [24]
    for ours, theirs in zip(folders(ws), folders(whole), strict=True):
        assert [path.name for path in list_parts(ours)] == [p.name for p in list_parts(theirs)]
        assert ws.read_table(ours).equals(whole.read_table(theirs))
    assert steps.score(ws, config, LOCAL)[0].resumed == 24


def test_an_error_in_an_actor_is_told_as_it_is(
    whole: Workspace, tiny_model: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(whole.root, tmp_path / "work"))
    config = tiny_config(
        tiny_model,
        score={
            "scorers": ["composition", "hpsv2"],
            "hpsv2_checkpoint": str(tiny_model / "model_index.json"),
        },
    )
    with pytest.raises(InvdpoError, match="can't be read as a checkpoint of tensors"):
        steps.score(Workspace(root), config, RAY)


def missing(name: str) -> Stage:
    raise PluginError(f"Unknown scorer {name!r}.")


def test_a_plug_in_that_an_actor_does_not_have_is_named(tmp_path: Path) -> None:
    goal = Goal("sharp", "score sharp", tmp_path / "sink", {"sharp": {}})
    with pytest.raises(InvdpoError, match=r"^ray: Unknown scorer .sharp"):
        run_goals(missing, [Numbers(0)], [goal], RAY)


@dataclass
class Dying(Stage):
    """Kills its process, once, or each time."""

    mark: str
    once: bool
    name = "dying"
    schema = SCHEMA
    needs: Sequence[str] = ()
    chunk = None

    def __call__(self, rows: Iterable[Record]) -> Iterator[Record]:
        for row in rows:
            if row["n"] == 4 and not (self.once and Path(self.mark).exists()):
                Path(self.mark).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield row | {"status": "ok", "error": None}


def dying(mark: str, once: bool, name: str) -> Dying:
    return Dying(mark, once)


def test_an_actor_that_is_killed_is_begun_anew(tmp_path: Path) -> None:
    goal = Goal("dying", "dying", tmp_path / "sink", {"dying": {}})
    make = partial(dying, str(tmp_path / "mark"), True)
    result = run_goals(make, [Numbers(n) for n in range(3)], [goal], RAY)[0]
    assert (tmp_path / "mark").exists()
    assert result.made == 9
    found = [n for part in list_parts(goal.sink) for n in read_part(part)["n"].to_pylist()]
    assert found == list(range(9))


def test_an_actor_that_dies_again_and_again_ends_the_run(tmp_path: Path) -> None:
    goal = Goal("dying", "dying", tmp_path / "sink", {"dying": {}})
    make = partial(dying, str(tmp_path / "mark"), False)
    with pytest.raises(InvdpoError, match=r"ray: .* Finished parts are kept"):
        run_goals(make, [Numbers(n) for n in range(3)], [goal], RAY)
