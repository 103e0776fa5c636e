"""The runner over a toy stage: resume, refusal, repair, overwrite, counts."""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from invdpo.curate.engines import ENGINES, Stage
from invdpo.curate.runner import Goal, RunOptions, StepResult, is_done
from invdpo.curate.storage.parts import list_parts, read_part, write_part
from invdpo.schemas import PluginError, WorkspaceError
from invdpo.schemas.tables import CANDIDATES, Record
from tests.curate.goals import run_goals

SCHEMA = pa.schema([("n", pa.int64()), ("status", pa.string()), ("error", pa.string())])
QUIET = RunOptions(progress=False)


@dataclass(frozen=True)
class Numbers:
    """Three numbers."""

    index: int

    @property
    def name(self) -> str:
        return f"part-{self.index:05d}.parquet"

    @property
    def planned(self) -> int:
        return 3

    def rows(self, needs: Set[str] = frozenset()) -> list[Record]:
        return [{"n": 3 * self.index + k} for k in range(3)]


class Square(Stage):
    """Squares; rejects multiples of `rejects`; dies at `fatal`."""

    name = "square"
    schema = SCHEMA
    needs: Sequence[str] = ()
    chunk = 2

    def __init__(self, fatal: int | None, rejects: int) -> None:
        self._fatal, self._rejects = fatal, rejects

    def __call__(self, rows: Iterable[Record]) -> Iterator[Record]:
        for row in rows:
            n = row["n"]
            if n == self._fatal:
                raise KeyboardInterrupt
            bad = n % self._rejects == 0
            error = f"a multiple of {self._rejects} (line {n})" if bad else None
            yield {"n": n * n, "status": "rejected" if bad else "ok", "error": error}


def run(
    folder: Path,
    options: RunOptions = QUIET,
    *,
    fatal: int | None = None,
    count: int = 4,
    power: int = 2,
    rejects: int = 5,
) -> StepResult:
    source = [Numbers(n) for n in range(count)]
    fingerprint = {"square": {"power": power}}
    goal = Goal("square", "square", folder, fingerprint)
    return run_goals(lambda name: Square(fatal, rejects), source, [goal], options)[0]


def contents(folder: Path) -> list[int]:
    return [n for part in list_parts(folder) for n in read_part(part)["n"].to_pylist()]


def test_makes_counts_and_resumes(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert (first.made, first.resumed, first.rejected) == (12, 0, 3)
    assert first.rejections == {"a multiple of 5": 3}
    assert contents(tmp_path) == [n * n for n in range(12)]
    again = run(tmp_path)
    assert (again.made, again.resumed, again.rejections) == (0, 12, first.rejections)


def test_interrupted_run_keeps_finished_parts(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, fatal=7)
    assert contents(tmp_path) == [n * n for n in range(6)]
    assert run(tmp_path).resumed == 6
    assert contents(tmp_path) == [n * n for n in range(12)]


def test_dry_run_counts_and_changes_nothing(tmp_path: Path) -> None:
    result = run(tmp_path / "new", RunOptions(dry_run=True))
    assert (result.planned, result.made) == (12, 0)
    assert not (tmp_path / "new").exists()
    run(tmp_path, count=1)
    result = run(tmp_path, RunOptions(dry_run=True))
    assert (result.planned, result.resumed) == (9, 3)


def test_other_configuration_is_refused_by_name(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(WorkspaceError, match=r"square\.power: 2 in the workspace, 3 asked for"):
        run(tmp_path, power=3)
    result = run(tmp_path, RunOptions(overwrite=True, progress=False), power=3)
    assert result.made == 12
    assert run(tmp_path, power=3).resumed == 12


def test_parts_too_many_are_refused_and_overwritten(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(
        WorkspaceError, match=r"part-00002\.parquet.*no longer in the input \(2 in all\)"
    ):
        run(tmp_path, count=2)
    assert run(tmp_path, RunOptions(overwrite=True, progress=False), count=2).resumed == 6
    assert len(list_parts(tmp_path)) == 2


def test_truncated_part_is_refused_and_repaired(tmp_path: Path) -> None:
    run(tmp_path)
    path = list_parts(tmp_path)[1]
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(WorkspaceError, match=r"part-00001\.parquet: damaged.*--repair"):
        run(tmp_path)
    result = run(tmp_path, RunOptions(repair=True, progress=False))
    assert (result.made, result.resumed) == (3, 9)
    assert contents(tmp_path) == [n * n for n in range(12)]


@pytest.mark.parametrize(("status", "is_whole"), [("ok", False), ("rejected", True)])
def test_candidates_that_lost_their_images_are_repaired(
    tmp_path: Path, status: str, is_whole: bool
) -> None:
    """As in a workspace that was pulled; one that was rejected never had an image."""
    images = {"lost": (status, None), "there": ("ok", {"bytes": b"x"})}
    rows = [
        {"candidate_id": key, "prompt_id": "p", "status": given, "image": image}
        for key, (given, image) in images.items()
    ]
    write_part(tmp_path / "part.parquet", pa.Table.from_pylist(rows, CANDIDATES), {})
    assert is_done(tmp_path / "part.parquet", {}, QUIET)
    assert is_done(tmp_path / "part.parquet", {}, RunOptions(repair=True)) == is_whole


def test_parts_with_rejected_rows_are_remade_when_asked_for(tmp_path: Path) -> None:
    run(tmp_path)
    retry = RunOptions(retry_rejected=True, progress=False)
    result = run(tmp_path, retry, rejects=10)  # 5 was in the second part, 10 is in the fourth
    assert (result.made, result.resumed) == (9, 3)
    assert result.rejections == {"a multiple of 10": 2}
    assert run(tmp_path, rejects=1).rejected == 2
    with pytest.raises(WorkspaceError, match=r"square\.power: 2 in the workspace, 3 asked for"):
        run(tmp_path, retry, power=3)


def test_unknown_engine_lists_the_known() -> None:
    with pytest.raises(PluginError, match=r"Unknown engine 'spark'. Known: .*local"):
        ENGINES["spark"]


def test_result_is_json() -> None:
    assert StepResult("a", "b", notes=("c",)).to_dict()["notes"] == ["c"]
