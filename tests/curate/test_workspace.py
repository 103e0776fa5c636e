"""The workspace: its lock between processes, and what is missing named with its command."""

import errno
import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from invdpo.curate.workspace import Workspace
from invdpo.schemas import WorkspaceError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import load_config


def hold(root: Path, pipe: Connection) -> None:
    with Workspace(root).lock():
        pipe.send(os.getpid())
        pipe.recv()


def test_second_process_is_refused(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=hold, args=(tmp_path, theirs))
    process.start()
    try:
        pid = ours.recv()
        refused = pytest.raises(WorkspaceError, match=f"process {pid} is working")
        with refused, Workspace(tmp_path).lock():
            pass
        ours.send("enough")
        process.join()
        with Workspace(tmp_path).lock():
            pass
    finally:
        process.kill()


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=hold, args=(tmp_path, theirs))
    process.start()
    ours.recv()
    process.kill()
    process.join()
    with Workspace(tmp_path).lock():
        pass


def test_lock_nests_and_touches_nothing_before(tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "new")
    assert not ws.root.exists()
    with ws.lock(), ws.lock():
        pass
    with ws.lock():
        pass


def test_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(WorkspaceError, match="read-only"), Workspace(tmp_path / "new").lock():
        pass


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "work").write_text("not a folder")
    with pytest.raises(WorkspaceError, match="work"), Workspace(tmp_path / "work").lock():
        pass


def test_missing_tables_name_their_commands(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    for path, command in [
        (ws.prompts_path, "prompts"),
        (ws.candidates_dir, "generate"),
        (ws.annotations_dir("shapes"), "annotate"),
        (ws.scores_dir("clip"), "score"),
        (ws.pairs_path, "pair"),
    ]:
        with pytest.raises(WorkspaceError, match=f"First run: invdpo curate {command}"):
            ws.read_table(path)


def test_configuration_comes_back(tmp_path: Path) -> None:
    ws = Workspace(tmp_path)
    config = Config.model_validate({"generate": {"seed": 7}})
    ws.save_config(config)
    assert load_config(ws.config_path) == config
