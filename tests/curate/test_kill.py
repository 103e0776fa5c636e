"""SIGKILL in the middle of each step, then the same step again: nothing lost, nothing doubled."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from invdpo.curate.workspace import Workspace
from invdpo.schemas.config import Config
from tests.curate.kills import OPTIONS, STEPS, configuration

ROOT = Path(__file__).parents[2]
TABLES = {
    "prompts": "prompts.parquet",
    "generate": "candidates",
    "annotate": "annotations/shapes",
    "score": "scores/composition",
}


@pytest.fixture(scope="module")
def undisturbed(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which every step ran to its end."""
    root = tmp_path_factory.mktemp("undisturbed") / "work"
    for name, step in STEPS.items():
        if name == "pair":
            STEPS["score"](Workspace(root), by_clip(tiny_model), OPTIONS)
        step(Workspace(root), configuration(tiny_model), OPTIONS)
    return root


def by_clip(model: Path) -> Config:
    config = configuration(model)
    section = config.score.model_copy(update={"scorers": ("clip",)})
    return config.model_copy(update={"score": section})


def before(step: str, whole: Path, root: Path) -> Workspace:
    """A copy of the workspace as it was before `step`."""
    names = list(TABLES)
    for name in names[: names.index(step)]:
        source, target = whole / TABLES[name], root / TABLES[name]
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    return Workspace(root)


def run_and_kill(step: str, ws: Workspace, model: Path, mark: str, count: int) -> None:
    """Start the step as a process and kill it right after its `count`-th `mark`."""
    command = [sys.executable, "-m", "tests.curate.kills", step, str(ws.root), str(model)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        seen = 0
        for line in process.stdout:
            seen += line.strip() == mark
            if seen == count:
                process.send_signal(signal.SIGKILL)
                break
            process.stdin.write("\n")
            process.stdin.flush()
    assert process.returncode == -signal.SIGKILL, f"ended before its {count}th {mark}"


def rows(ws: Workspace, step: str) -> pa.Table:
    return ws.read_table(ws.root / TABLES[step])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.parametrize(
    ("step", "mark", "count"),
    [
        ("prompts", "row", 7),
        # Flushes come as: configuration, its folder, part, its folder, part, its folder, ...
        ("prompts", "flush", 3),
        ("generate", "row", 9),
        ("generate", "flush", 5),
        ("annotate", "row", 15),
        ("annotate", "flush", 7),
        ("score", "row", 23),
        ("score", "flush", 5),
    ],
)
def test_killed_and_started_again(
    step: str, mark: str, count: int, undisturbed: Path, tiny_model: Path, tmp_path: Path
) -> None:
    ws = before(step, undisturbed, tmp_path / "work")
    run_and_kill(step, ws, tiny_model, mark, count)
    table = ws.root / TABLES[step]
    folder = table if step != "prompts" else ws.root
    if mark == "flush":
        assert list(folder.glob(".*.tmp")), "killed between writing and renaming"
    done = len(list(table.glob("*.parquet"))) if step != "prompts" else int(table.exists())
    assert done < 4 if step != "prompts" else not done

    result = STEPS[step](ws, configuration(tiny_model), OPTIONS)
    result = result[0] if isinstance(result, list) else result

    whole = rows(Workspace(undisturbed), step)
    assert rows(ws, step).equals(whole)
    assert result.resumed == done * 6
    assert result.made + result.resumed == whole.num_rows
    key = whole.column(0).to_pylist()
    assert len(set(key)) == len(key)
    assert not list(folder.glob(".*.tmp"))


def contents(ws: Workspace) -> dict[str, bytes]:
    """What `pair` leaves, file by file."""
    files = [ws.pairs_path, ws.report_path, *ws.dataset_dir.rglob("*")]
    return {str(f.relative_to(ws.root)): f.read_bytes() for f in files if f.is_file()}


# Flushes come as: report, its folder, configuration, its folder, the dataset's files and folders,
# the table of pairs, its folder.
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
@pytest.mark.parametrize(("mark", "count"), [("row", 3), ("flush", 1), ("flush", 6), ("flush", 10)])
def test_pair_killed_and_started_again(
    mark: str, count: int, undisturbed: Path, tiny_model: Path, tmp_path: Path
) -> None:
    ws = Workspace(tmp_path / undisturbed.name)
    shutil.copytree(undisturbed, ws.root)
    shutil.rmtree(ws.dataset_dir)
    for path in (ws.pairs_path, ws.report_path):
        path.unlink()
    run_and_kill("pair", ws, tiny_model, mark, count)
    assert not ws.pairs_path.exists(), "the table of pairs comes last"
    assert list(ws.root.glob(".*.tmp")), "killed while something was half-written"

    result = STEPS["pair"](ws, configuration(tiny_model), OPTIONS)

    assert result.made == 12
    assert contents(ws) == contents(Workspace(undisturbed))
    assert not list(ws.root.glob(".*.tmp"))
