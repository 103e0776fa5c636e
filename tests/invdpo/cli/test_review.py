"""`invdpo curate review`: where decisions go, and the process that a person starts."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from invdpo.cli import app
from invdpo.cli.review import _worst
from invdpo.curate.review import server
from invdpo.curate.workspace import Workspace
from tests.curate.review.sessions import session, table
from tests.workspaces import built, work

__all__ = ["built", "work"]
ROOT = Path(__file__).parents[3]


def review(*words: object) -> Any:
    return CliRunner().invoke(app, ["curate", "review", *map(str, words), "--dry-run"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["work"], "work/reviews.parquet"),
        (["work/dataset"], "work/reviews.parquet"),
        (["alone"], "alone.reviews.parquet"),
        (["work", "--reviews", "mine.parquet"], "mine.parquet"),
    ],
)
def test_where_decisions_go(work: Path, words: list[str], expected: str) -> None:
    shutil.copytree("work/dataset", "alone")
    result = review(*words)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("0 of 6 pairs decided")
    assert result.stdout.split()[-1] == expected
    assert not Path(expected).exists()


def test_what_is_done_is_told(work: Path) -> None:
    session(work).decide(0, "drop", None)
    result = review("work")
    assert result.stdout.startswith("1 of 6 pairs decided: 0 kept, 0 flipped, 0 equal, 1 dropped")
    assert "Next: invdpo curate pair work --reviews --overwrite" in result.stderr
    data = json.loads(review("work", "--json").stdout)
    assert data["counts"] == {"keep": 0, "flip": 0, "equal": 0, "drop": 1}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nowhere"], "nowhere: no dataset"),
        (["work/scores"], "work/scores: no dataset"),
        (["work", "--order", "best"], "--order: found 'best'; allowed: random, doubtful, set."),
    ],
)
def test_what_can_not_be_reviewed(work: Path, words: list[str], expected: str) -> None:
    result = review(*words)
    assert result.exit_code == 1
    assert expected in result.stderr


def test_as_a_process(work: Path) -> None:
    """It prints an address, takes a decision, and ends well on Ctrl-C, with all of it kept."""
    words = [sys.executable, "-m", "invdpo", "curate", "review", "work", "--no-browser"]
    process = subprocess.Popen(
        words,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stderr
        found = re.search(r"http://127\.0\.0\.1:(\d+)(/\S+/)", process.stderr.readline())
        assert found
        line = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=240)
        kind = {"Content-Type": "application/json"}
        line.request("POST", f"{found[2]}pair/0", json.dumps({"choice": "drop"}), kind)
        assert line.getresponse().status == 200
        line.close()
        assert [row["decision"] for row in table(work)] == ["drop"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert out.startswith("1 of 6 pairs decided")
    assert "Traceback" not in err


@pytest.mark.parametrize(("words", "opened"), [([], ["http://here/"]), (["--no-browser"], [])])
def test_the_page_is_opened_and_ctrl_c_ends_well(
    work: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], opened: list[str]
) -> None:
    """No server is started, and no browser."""
    asked: list[str] = []

    class Server:
        url = "http://here/"

        def __init__(self, session: Any, port: int) -> None:
            self.session, self.port = session, port

        def __enter__(self) -> Server:
            return self

        def __exit__(self, *_: object) -> None:
            assert self.port == 8123

        def serve_forever(self, _: float) -> None:
            self.session.decide(0, "keep", None)
            raise KeyboardInterrupt

    monkeypatch.setattr(server, "ReviewServer", Server)
    monkeypatch.setattr("webbrowser.open", asked.append)
    words = ["curate", "review", str(work), "--port", "8123", *words]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert asked == opened
    assert result.stderr.startswith("Review at http://here/\nPress Ctrl-C to end it.")
    assert result.stdout.startswith("1 of 6 pairs decided: 1 kept")


def test_without_a_report_no_pair_is_the_worst(work: Path) -> None:
    ws = Workspace(work)
    assert _worst(ws)
    ws.report_path.write_text("{}")
    assert _worst(ws) == []
    assert _worst(None) == []
