"""A whole workspace on S3, as moto's server on loopback speaks it: the steps, and a kill."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from invdpo.curate import steps
from invdpo.curate.runner import RunOptions
from invdpo.curate.workspace import Workspace
from invdpo.schemas import WorkspaceError
from invdpo.schemas.config import Config
from tests.curate.kills import OPTIONS
from tests.curate.storage.bucket import KEY, SECRET, store
from tests.curate.test_kill import run_and_kill
from tests.curate.tiny import tiny_config

STEPS = (steps.make_prompts, steps.generate, steps.annotate, steps.score, steps.pair)


def configured(model: Path, **pair: Any) -> Config:
    """Pairs by CLIP: images of random weights show nothing that is right."""
    return tiny_config(
        model, score={"scorers": ["composition", "clip"]}, pair={"weights": {"clip": 1.0}, **pair}
    )


@pytest.fixture(scope="module", autouse=True)
def bucket() -> Iterator[None]:
    s3fs = pytest.importorskip("s3fs", reason="needs the extra s3")
    with store() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        yield
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def ws() -> Workspace:
    return Workspace(f"s3://pairs/{uuid.uuid4().hex}/run")


def tables(ws: Workspace) -> list[Any]:
    places = [
        ws.prompts_path,
        ws.candidates_dir,
        ws.annotations_dir("shapes"),
        ws.scores_dir("composition"),
        ws.scores_dir("clip"),
        ws.pairs_path,
    ]
    return [ws.read_table(path) for path in places]


def files(folder: Path) -> dict[str, bytes]:
    """Name -> content of all files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_every_step_makes_what_it_makes_in_a_local_folder(
    ws: Workspace,
    tiny_model: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, config = Workspace(tmp_path / "run"), configured(tiny_model)
    with caplog.at_level("WARNING"):
        for step in STEPS:
            step(here, config, OPTIONS)
            step(ws, config, OPTIONS)
    assert [a.equals(b) for a, b in zip(tables(ws), tables(here), strict=True)] == [True] * 6
    assert files(ws.dataset_dir) == files(here.dataset_dir)
    for step in STEPS[1:]:
        found: Any = step(ws, config, OPTIONS)
        result = found[0] if isinstance(found, list) else found
        assert result.made == 0
        assert result.resumed
    assert KEY not in caplog.text
    assert SECRET not in caplog.text
    there: Any = ws.root
    left = [name for name in there.fs.find(there.path) if ".lock" in name or ".tmp" in name]
    assert not left

    fewer, anew = configured(tiny_model, target_pairs=2), RunOptions(overwrite=True, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr("invdpo.curate.storage.atomic.put", interrupt)
        with pytest.raises(KeyboardInterrupt):
            steps.pair(ws, fewer, anew)
    assert steps.pair(ws, config, OPTIONS).made > 2, "half a dataset is none"
    assert steps.pair(ws, fewer, anew).made == 2
    steps.pair(here, fewer, anew)
    assert files(ws.dataset_dir) == files(here.dataset_dir)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_killed_in_the_middle_and_gone_on_with(
    ws: Workspace, tiny_model: Path, tmp_path: Path
) -> None:
    here, config = Workspace(tmp_path / "work"), tiny_config(tiny_model)
    for step in STEPS[:2]:
        step(here, config, OPTIONS)
    steps.make_prompts(ws, config, OPTIONS)
    run_and_kill("generate", ws, tiny_model, "row", 15)
    assert (ws.root / ".lock").exists()
    done = len(list(ws.candidates_dir.glob("*.parquet")))
    assert 1 <= done < 4
    result = steps.generate(ws, config, OPTIONS)
    assert (result.made, result.resumed) == (24 - 6 * done, 6 * done)
    assert ws.read_table(ws.candidates_dir).equals(here.read_table(here.candidates_dir))


def test_two_at_once_are_kept_apart_by_the_store(ws: Workspace) -> None:
    one, other = Workspace(ws.root)._remote_lock, Workspace(ws.root)._remote_lock
    one._write("create")  # type: ignore[union-attr]
    with pytest.raises(OSError, match=r"pre-?condition"):
        other._write("create")  # type: ignore[union-attr]


def test_bucket_that_is_not_there(tiny_model: Path) -> None:
    ws = Workspace("s3://nowhere/run")
    with pytest.raises(
        WorkspaceError, match=r"s3://nowhere/run: the object store reports: .*bucket"
    ) as told:
        steps.make_prompts(ws, tiny_config(tiny_model), OPTIONS)
    assert SECRET not in str(told.value)
