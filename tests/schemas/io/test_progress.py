"""What a long task says of itself where nobody sees a bar."""

from __future__ import annotations

import pytest

from invdpo.schemas.io.progress import progress_bar


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("invdpo.schemas.io.progress.time.monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_now_and_then(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    """After 40 s 20 of 80 steps are done beyond the 20 of before: 2 s a step, 40 are left."""
    with progress_bar("training", 80, unit="step", done=20) as bar:
        for _ in range(20):
            clock[0] += 2
            bar.set_postfix({"loss": "0.6931"})
            bar.update()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "training: 35 of 80 (44%), 2.0 s/step, 0:01:30 left, loss 0.6931",
    ]


def test_short_tasks_and_quiet_ones_say_nothing(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar("scoring", 10) as bar:
        clock[0] += 29
        bar.update(10)
    with progress_bar("scoring", 10, show=False) as bar:
        clock[0] += 100
        bar.update(10)
    assert capsys.readouterr().err == ""


def test_many_a_second(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("pairing", 7200) as bar:
        clock[0] += 60
        bar.update(3600)
    line = "pairing: 3,600 of 7,200 (50%), 60.00 rows/s, 0:01:00 left\n"
    assert capsys.readouterr().err == line


def test_nothing_done_yet_has_no_rate(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar("scoring", 10) as bar:
        clock[0] += 31
        bar.update(0)
    assert capsys.readouterr().err == "scoring: 0 of 10 (0%), time left unknown\n"


def test_a_batch_is_not_taken_for_its_first_row(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    """Batches of 32 rows take 40 s each, so a row takes 1.25 s."""
    with progress_bar("generate", 96) as bar:
        for _ in range(3):
            clock[0] += 40
            for _ in range(32):
                bar.update()
    assert capsys.readouterr().err.splitlines() == [
        "generate: 1 of 96 (1%), time left unknown",
        "generate: 32 of 96 (33%), 1.2 s/row, 0:01:20 left",
        "generate: 64 of 96 (67%), 1.2 s/row, 0:00:40 left",
    ]
