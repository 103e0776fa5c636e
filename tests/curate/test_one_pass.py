"""Several scorers in one pass: images are decoded once, and each table stands for itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from invdpo.curate import steps
from invdpo.curate.runner import RunOptions
from invdpo.curate.score import Score
from invdpo.curate.scorers import SCORERS, Candidate, Judged, Scorer
from invdpo.curate.storage.parts import list_parts, read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import ModelError
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.io.images import decode
from tests.curate.tiny import tiny_config

OPTIONS = RunOptions(part_size=3, progress=False)
NAMES = ("first", "second")


class Width(Scorer):
    """The image's width; prepared ahead; gives up at the case of that number."""

    needs: Sequence[str] = ("image",)
    revision = "1"

    def __init__(self, name: str, fatal: int | None = None) -> None:
        self.name, self.fatal = name, fatal
        self.seen, self.unprepared = 0, False

    def prepare(self, candidate: Candidate) -> int:
        if self.unprepared:
            raise ModelError("no weights")
        return candidate.image.width

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
        self.seen += len(candidates)
        if self.fatal is not None and self.seen > self.fatal:
            raise ModelError("out of order")
        ready = [each.prepared.get(self.name) or self.prepare(each) for each in candidates]
        return [Judged(float(width)) for width in ready]


def _given(scorer: Width, config: ScoreConfig) -> Width:
    return scorer


@pytest.fixture
def scorers() -> Iterator[dict[str, Width]]:
    made = {name: Width(name) for name in NAMES}
    for name in NAMES:
        SCORERS.register(name)(partial(_given, made[name]))
    yield made
    for name in NAMES:
        del SCORERS._entries[name]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    ws = Workspace(tmp_path_factory.mktemp("one-pass") / "work")
    steps.make_prompts(ws, tiny_config(tiny_model), OPTIONS)
    steps.generate(ws, tiny_config(tiny_model), OPTIONS)
    return ws.root


@pytest.fixture
def ws(generated: Path, tmp_path: Path) -> Workspace:
    return Workspace(Path(shutil.copytree(generated, tmp_path / "work")))


def score(ws: Workspace, model: Path, **changes: Any) -> list[int]:
    """Rows that were made, by scorer."""
    config = tiny_config(model, score={"scorers": list(NAMES), "batch_size": 4, **changes})
    return [result.made for result in steps.score(ws, config, OPTIONS)]


def test_pictures_are_decoded_once(
    ws: Workspace, tiny_model: Path, scorers: dict[str, Width], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes | None] = []

    def counted(data: bytes | None) -> Image.Image:
        decoded.append(data)
        return decode(data)

    monkeypatch.setattr("invdpo.curate.candidate.decode", counted)
    assert score(ws, tiny_model) == [24, 24]
    assert len(decoded) == 24
    tables = [ws.read_table(ws.scores_dir(name)) for name in NAMES]
    assert tables[0]["candidate_id"] == tables[1]["candidate_id"]
    assert set(tables[0]["score"].to_pylist()) == {16.0}


def test_parts_that_are_there_are_not_made_again(
    ws: Workspace, tiny_model: Path, scorers: dict[str, Width]
) -> None:
    score(ws, tiny_model)
    list_parts(ws.scores_dir("second"))[1].unlink()
    for scorer in scorers.values():
        scorer.seen = 0
    assert score(ws, tiny_model) == [0, 6]
    assert [scorer.seen for scorer in scorers.values()] == [0, 6]


def test_one_that_fails_does_not_stop_the_others(
    ws: Workspace, tiny_model: Path, scorers: dict[str, Width]
) -> None:
    scorers["first"].fatal = 12
    with pytest.raises(ModelError, match="out of order"):
        score(ws, tiny_model)
    assert len(list_parts(ws.scores_dir("first"))) == 2
    assert len(list_parts(ws.scores_dir("second"))) == 4
    scorers["first"].fatal = None
    assert score(ws, tiny_model) == [12, 0]


def test_one_that_fails_ahead_of_its_call_does_not_stop_the_others(
    ws: Workspace, tiny_model: Path, scorers: dict[str, Width]
) -> None:
    scorers["first"].unprepared = True
    with pytest.raises(ModelError, match="no weights"):
        score(ws, tiny_model)
    assert [len(list_parts(ws.scores_dir(name))) for name in NAMES] == [0, 4]


def test_bad_pictures_are_told_by_every_scorer(
    ws: Workspace, tiny_model: Path, scorers: dict[str, Width]
) -> None:
    path = list_parts(ws.candidates_dir)[0]
    rows = read_part(path).to_pylist()
    rows[1]["image"]["bytes"] = b"no image"
    given = [Candidate(row) for row in rows]
    for name in NAMES:
        stage = Score(name, ScoreConfig(scorers=NAMES))
        for each in given:
            stage.prepare(each)
        errors = [row["error"] for row in stage(given)]
        assert errors[1] == "image can't be decoded: not a known image format"
        assert errors.count(None) == len(rows) - 1
