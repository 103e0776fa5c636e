"""The command line as the process a user starts: its work, its streams, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
INVDPO = [sys.executable, "-m", "invdpo"]
HEAVY = {
    "accelerate",
    "datasets",
    "diffusers",
    "huggingface_hub",
    "jinja2",
    "matplotlib",
    "numpy",
    "open_clip",
    "pandas",
    "peft",
    "PIL",
    "pyarrow",
    "ray",
    "rich",
    "safetensors",
    "scipy",
    "torch",
    "torchvision",
    "tqdm",
    "transformers",
}


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "INVDPO_DEBUG": ""}


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*INVDPO, *map(str, words)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        timeout=280,
        check=False,
    )


COUNTED = """
import sys
calls = 0
def count(frame, event, argument):
    global calls
    calls += event in ("call", "c_call")
sys.setprofile(count)
from invdpo.cli import app
try:
    app(["--help"], prog_name="invdpo")
except SystemExit:
    sys.setprofile(None)
print(calls, file=sys.stderr)
"""


def test_help_is_little_work(tmp_path: Path) -> None:
    """Calls of functions are the same on every machine: 630,000 now, twice as many with pandas."""
    found = subprocess.run(
        [sys.executable, "-c", COUNTED],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    assert found.stdout.startswith("Usage: ")
    assert 100_000 < int(found.stderr) < 650_000


@pytest.mark.parametrize("words", [["--help"], ["curate", "run", "--help"], ["train", "--help"]])
def test_help_imports_nothing_heavy(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom invdpo.cli import app\n"
        f"try: app({words!r}, prog_name='invdpo')\n"
        "except SystemExit: pass\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    assert found.stdout.startswith("Usage: ")
    assert not HEAVY & set(found.stderr.split())


def test_json_alone_on_stdout(tmp_path: Path) -> None:
    result = run("curate", "prompts", "work", "--num-prompts", 4, "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["steps"][0]["made"] == 4
    assert result.stderr == "Next: invdpo curate generate work\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_encoding_that_lacks_characters_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    shown = run("curate", "run", "--help", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    made = run("curate", "prompts", "w\u00f6rk\u2026", "--num-prompts", 2, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "rk\\u2026" in made.stdout


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_a_name_that_is_no_text_is_told_before_anything_is_made(
    tmp_path: Path, locale: str
) -> None:
    line = f"LC_ALL={locale} PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 $python -m invdpo curate prompts"
    result = shell(f"{line} $'w\\xe9x'", tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: w\\udce9x: not valid text in ")
    assert result.stderr.count("\n") == 1
    assert ("PYTHONUTF8=1" in result.stderr) == (locale == "C")
    assert os.listdir(tmp_path) == []


def test_an_error_is_a_line_and_a_status(tmp_path: Path) -> None:
    result = run("curate", "score", "work", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a line in which `$python` is this Python."""
    return subprocess.run(
        ["bash", "-c", line.replace("$python", f"'{sys.executable}'")],
        cwd=cwd,
        env=environment() | {"PYTHONUNBUFFERED": ""},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    result = shell("$python -m invdpo curate run --help | head -n 1", tmp_path)
    assert result.returncode == 0
    assert result.stdout.startswith("Usage:")
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no device that is always full")
@pytest.mark.parametrize("words", ["--help", "--version", "curate prompts work --num-prompts 2"])
def test_a_full_stdout_is_an_error_in_one_line(tmp_path: Path, words: str) -> None:
    result = shell(f"$python -m invdpo {words} > /dev/full", tmp_path)
    assert (result.returncode, result.stderr) == (
        1,
        "Error: can't write to stdout (No space left on device).\n",
    )


@pytest.mark.parametrize("stream", ["2> /dev/full", "2>&-", ">&-", "<&- >&- 2>&-"])
def test_streams_that_take_nothing_end_no_work(tmp_path: Path, stream: str) -> None:
    result = shell(f"$python -m invdpo curate prompts work --num-prompts 2 {stream}", tmp_path)
    assert result.returncode == 0
    assert sorted(os.listdir(tmp_path / "work")) == ["invdpo.yaml", "prompts.parquet"]


def test_what_libraries_print_gets_into_no_file(tmp_path: Path) -> None:
    """A file opened while a stream is closed would have its number."""
    code = (
        "import os; from invdpo.__main__ import open_streams; open_streams(); "
        "file = open('file', 'w'); os.write(1, b'x'); os.write(2, b'x')"
    )
    assert shell(f'$python -c "{code}" <&- >&- 2>&-', tmp_path).returncode == 0
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.timeout(900)  # torch is imported three times, on a machine that may be busy
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path: Path) -> None:
    assert run("curate", "prompts", "work", "--num-prompts", 1000, cwd=tmp_path).returncode == 0
    words = [
        "curate",
        "generate",
        "work",
        "--num-candidates",
        "2",
        "--part-size",
        "2",
        "--num-inference-steps",
        "2",
        "--batch-size",
        "4",
    ]
    process = subprocess.Popen(
        [*INVDPO, *words],
        cwd=tmp_path,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # a shell's background jobs ignore Ctrl-C, and so would what they start
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    parts = tmp_path / "work" / "candidates"
    try:
        wait_for(parts / "part-00001.parquet", process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=280)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert out == ""
    assert f"To continue:\n  invdpo {' '.join(words)}\n" in err
    kept = len(list(parts.glob("part-*.parquet")))
    assert 2 <= kept < 500
    result = run(*words, "--dry-run", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    step = json.loads(result.stdout)["steps"][0]
    assert (step["resumed"], step["planned"]) == (4 * kept, 2000 - 4 * kept)


def test_ctrl_c_before_anything_was_begun(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        # jobs in the background of a shell are begun with this signal ignored
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Stop:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Stop())\n"
        "from invdpo.__main__ import main\n"
        "main()"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert (found.returncode, found.stdout) == (130, "")
    assert found.stderr == "\nStopped before anything was started.\n"


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 280
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert path.exists(), f"status {process.poll()}"
