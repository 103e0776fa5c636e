"""One bad element costs only itself; a wrong set-up costs nothing but the run."""

from collections.abc import Sequence

import pytest

from invdpo.curate.batching import FAILURES_IN_A_ROW, Attempts, Failure, attempt
from invdpo.curate.candidate import Candidate
from invdpo.curate.score import Score
from invdpo.curate.scorers import SCORERS, Judged, Scorer
from invdpo.schemas import DataError, ModelError
from invdpo.schemas.config.score import ScoreConfig


def halves(numbers: Sequence[int]) -> list[float]:
    return [1 / n for n in numbers]


def test_good_batch_and_empty_batch() -> None:
    assert attempt(halves, [1, 2]) == [1, 0.5]
    assert attempt(halves, []) == []


def test_the_bad_one_alone_fails() -> None:
    assert attempt(halves, [1, 0, 2]) == [1, Failure("ZeroDivisionError: division by zero"), 0.5]
    assert attempt(halves, [0]) == [Failure("ZeroDivisionError: division by zero")]


def test_failure_of_all_stops() -> None:
    with pytest.raises(ModelError, match="all of 2 inputs"):
        attempt(halves, [0, 0])


def test_errors_of_ours_pass() -> None:
    def refuse(_: Sequence[int]) -> list[int]:
        raise DataError("no")

    with pytest.raises(DataError):
        attempt(refuse, [1, 2])


def test_one_error_again_and_again_stops() -> None:
    """In batches of one, where none of several elements could succeed beside it."""
    several: Attempts[int, float] = Attempts()
    for _ in range(FAILURES_IN_A_ROW - 1):
        assert several(halves, [0]) == [Failure("ZeroDivisionError: division by zero")]
    with pytest.raises(ModelError, match=r"failed on 64 inputs in a row \(ZeroDivisionError"):
        several(halves, [0])


def test_a_success_another_error_and_an_answer_of_the_models_end_a_row() -> None:
    def judge(numbers: Sequence[int]) -> list[float | Failure]:
        return [Failure("no") if n < 0 else 1 / int("01x"[n]) for n in numbers]

    for between in (1, 2, -1):
        several: Attempts[int, float] = Attempts()
        for element in [0, between] * FAILURES_IN_A_ROW:
            several(judge, [element])
    several = Attempts()
    for _ in range(2 * FAILURES_IN_A_ROW):
        assert several(judge, [-1]) == [Failure("no")]
    all_but_one = [0] * FAILURES_IN_A_ROW + [1]
    assert len(several(judge, all_but_one)) == len(all_but_one)


class Broken(Scorer):
    """A device that fails for good."""

    name, needs, revision = "broken", (), "1"

    def __call__(self, candidates: Sequence[Candidate]) -> list[Judged]:
        raise RuntimeError("device-side assert")


def test_a_stage_of_batches_of_one_stops() -> None:
    SCORERS.register("broken")(lambda config: Broken())
    try:
        stage = Score("broken", ScoreConfig(batch_size=1))
    finally:
        del SCORERS._entries["broken"]
    candidates = [Candidate({"candidate_id": f"c{n}", "status": "ok"}) for n in range(99)]
    with pytest.raises(ModelError, match=r"inputs in a row .*device-side assert"):
        list(stage(candidates))
