"""What the steps of a round say reaches the user, and rejected rows are tried again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from invdpo.curate.candidate import Candidate
from invdpo.curate.runner import RunOptions
from invdpo.curate.scorers import SCORERS, Judged, Scorer
from invdpo.curate.workspace import Workspace
from invdpo.rounds import run
from invdpo.rounds.run import improve
from invdpo.schemas.config import Config
from invdpo.schemas.interrupts import Interrupted
from tests.invdpo.rounds.small import OPTIONS, small_config

RETRY = RunOptions(progress=False, retry_rejected=True)


class Unsure(Scorer):
    """Has no score for some images, by their number among all that it was given."""

    name, needs, revision = "unsure", (), "1"
    unsure: frozenset[int] = frozenset()
    given = 0

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
        numbers = range(self.given, self.given + len(candidates))
        self.given = numbers.stop
        return [Judged(math.nan if number in self.unsure else 1.0) for number in numbers]


@pytest.fixture
def scorer() -> Iterator[Unsure]:
    made = Unsure()
    SCORERS.register("unsure")(lambda _: made)
    yield made
    del SCORERS._entries["unsure"]


def config(**changes: Any) -> Config:
    """Four validation images of each model, then twelve candidates a round."""
    scorers = ["composition", "clip", "unsure"]
    return small_config(score={"scorers": scorers}, improve={"rounds": 1, **changes})


def rejected(root: Path, number: int) -> int:
    ws = Workspace(root / f"round-{number:03d}")
    rows = ws.read_table(ws.scores_dir("unsure")).to_pylist()
    return sum(row["score"] is None for row in rows)


def run_until_training(
    root: Path, config: Config, options: RunOptions, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """The notes on the scorer."""
    notes: list[str] = []

    def stop(*_: Any) -> None:
        raise Interrupted("before the training", 2)

    with monkeypatch.context() as patch:
        patch.setattr(run, "train_round", stop)
        with pytest.raises(Interrupted):
            improve(root, config, options, notes.append)
    return [note for note in notes if "unsure" in note]


def test_rejected_rows_are_told_and_tried_again_until_the_training_begins(
    tmp_path: Path, scorer: Unsure, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer.unsure = frozenset({0, 5, 7})
    assert run_until_training(tmp_path, config(), OPTIONS, monkeypatch) == [
        "Base model: score unsure: 1 rejected: the score is nan",
        "Round 1: score unsure: 2 rejected: the score is nan",
    ]
    scorer.unsure = frozenset({16})  # the first that it is given anew
    assert run_until_training(tmp_path, config(), RETRY, monkeypatch) == [
        "Round 1: score unsure: 1 rejected: the score is nan"
    ]
    notes: list[str] = []
    (tmp_path / "round-001" / "tuned").mkdir()
    improve(tmp_path, config(), RETRY, notes.append)
    assert "Round 1: its training has begun, so its rejected rows stay" in notes
    assert rejected(tmp_path, 1) == 1


def test_pairs_that_were_chosen_again_are_merged_again_with_earlier_ones(
    tmp_path: Path, scorer: Unsure, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = config(replay_rounds=1)
    run_until_training(tmp_path, chosen, OPTIONS, monkeypatch)
    merged = tmp_path / "round-001" / "training"
    merged.mkdir()
    run_until_training(tmp_path, chosen, OPTIONS, monkeypatch)
    assert merged.exists()
    run_until_training(tmp_path, chosen, RETRY, monkeypatch)
    assert not merged.exists()
