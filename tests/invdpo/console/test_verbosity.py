"""How much a command says, and what its log file keeps."""

from __future__ import annotations

import json
import logging
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from invdpo.cli.command import CommonOptions, command
from invdpo.schemas.io.logs import log_to_file, quiet_hub, settings
from invdpo.schemas.io.progress import ProgressLines

TOKEN = "hf_abcdefghijkl"
app = typer.Typer()


@command(app, "work", example="work", common=CommonOptions)
def work(job: Any, fail: bool = False) -> None:
    """Say something in every way there is."""
    job.out.note(f"a note with {TOKEN}")
    logging.getLogger("invdpo.part").warning("a warning of ours")
    logging.getLogger("invdpo.part").info("a remark of ours")
    logging.getLogger("other").warning("another library's warning")
    with quiet_hub():
        logging.getLogger("huggingface_hub").warning("the Hub's warning")
        warnings.warn("a warning of Python's", stacklevel=1)
    job.out.notice("must be read")
    job.out.result({"made": 3}, "3 made")
    if fail:
        raise RuntimeError(f"broken with {TOKEN}")


def run(*words: object) -> Any:
    before = vars(settings).copy(), logging.getLogger().handlers[:], warnings.showwarning
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert before == (vars(settings), logging.getLogger().handlers, warnings.showwarning)
    return result


def test_as_it_is() -> None:
    result = run()
    lines = ["a note with hf_…", "a warning of ours", "another library's warning", "must be read"]
    assert (result.stdout, result.stderr.splitlines()) == ("3 made\n", lines)


aged = typer.Typer()


@command(aged, "old", example="old", common=CommonOptions)
def old(job: Any) -> None:
    """Use what a library will remove."""
    warnings.warn("`f` is deprecated", FutureWarning, stacklevel=1)


def test_what_programmers_are_warned_of_is_for_verbose() -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        assert "deprecated" not in CliRunner().invoke(aged, []).stderr
        assert not shown
        assert "`f` is deprecated" in CliRunner().invoke(aged, ["-v"]).stderr


def test_quiet_shows_results_and_errors() -> None:
    assert (run("-q").stdout, run("-q").stderr) == ("3 made\n", "must be read\n")
    lines = run("--quiet", "--fail").stderr.splitlines()
    assert lines[1] == "Error: RuntimeError: broken with hf_…"


def test_verbose_says_when_and_where_and_hides_nothing() -> None:
    text = re.sub(r"\d\d:\d\d:\d\d", "TIME", run("-v").stderr)
    assert text.startswith(f"TIME {__name__}: a note with hf_…\nTIME invdpo.part: a warning of")
    for line in ("invdpo.part: a remark of ours", "other: another library's warning"):
        assert f"TIME {line}\n" in text
    assert "a warning of Python's" in text
    assert run("-q", "-v").stderr == "Error: --quiet and --verbose: found both; give one of them.\n"


@pytest.mark.parametrize("flags", [[], ["--quiet", "--json"]])
def test_the_log_file_has_everything(flags: list[str], tmp_path: Path) -> None:
    file = tmp_path / "run.log"
    file.write_text("of before\n")
    result = run("--log-file", file, "--fail", *flags)
    assert ("Python's" in result.stderr, "Hub's" in result.stderr) == (False, False)
    if flags:
        assert json.loads(result.stdout[: result.stdout.index("}") + 1]) == {"made": 3}
        assert "note" not in result.stderr
    text = file.read_text()
    assert TOKEN not in text
    before, *lines = text.splitlines()
    assert before == "of before"
    dated = [line for line in lines if not line.startswith("  ")]
    pattern = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (INFO|WARNING|ERROR) ([\w.]+): (.*)"
    found = [re.fullmatch(pattern, line) for line in dated]
    said = [(m[1], m[2], m[3]) for m in found if m]
    assert len(said) == len(dated)
    for expected in (
        ("INFO", __name__, "a note with hf_…"),
        ("INFO", "invdpo.part", "a remark of ours"),
        ("WARNING", "huggingface_hub", "the Hub's warning"),
        ("INFO", __name__, "must be read"),
        ("ERROR", "invdpo.cli.command", "Traceback (most recent call last):"),
    ):
        assert said.count(expected) == 1
    assert "a warning of Python's" in text
    assert said[-1][2].startswith("ended after ")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("none/run.log", "no such folder"), (".", "Is a directory"), ("s3://x/y", "found a URL")],
)
def test_a_log_file_that_takes_nothing_is_told_before_the_work(
    name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("--log-file", name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no device that is always full")
def test_a_full_disk_is_told_before_the_work_and_ends_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "No space left on device" in run("--log-file", "/dev/full").stderr
    monkeypatch.setattr("invdpo.console.handlers.is_main_process", lambda: False)
    result = run("--log-file", "/dev/full")  # where no first line is written
    assert result.exit_code == 0
    assert result.stderr.count("/dev/full takes no more (No space left on device)") == 1


def test_of_several_processes_the_first_says_all_and_the_others_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        run("--log-file", tmp_path / "run.log")
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert all(re.search(r":\d\d rank [01] [A-Z]+ ", line) for line in lines if line[0] != " ")
    assert len([line for line in lines if "a note" in line]) == 1
    assert len([line for line in lines if "a warning of ours" in line]) == 2


def test_progress_goes_to_the_log_file_beside_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record.getMessage())

    kept: list[str] = []
    monkeypatch.setattr(settings, "file", Kept())
    monkeypatch.setattr("invdpo.schemas.io.progress.EVERY", -1.0)
    ProgressLines("scoring", 2, "row", 0, show=False).update()
    log_to_file("100 % done", "x")
    assert kept[0].startswith("scoring: 1 of 2 (50%)")
    assert kept[1:] == ["100 % done"]
    assert capsys.readouterr().err == ""
