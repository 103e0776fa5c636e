"""The command line in this process: flags, layers of configuration, words and exit statuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from invdpo import __version__
from invdpo.cli import app
from invdpo.cli.command import command, command_errors
from invdpo.cli.help import SECTIONS as HEADINGS
from invdpo.console.output import Output
from invdpo.options import flags, overrides
from invdpo.schemas import ConfigError, WorkspaceError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import load_config

SECTIONS = tuple(Config.model_fields)
COMMANDS = {
    "curate prompts": ("prompts",),
    "curate generate": ("generate",),
    "curate annotate": ("annotate",),
    "curate score": ("score",),
    "curate pair": ("pair",),
    "curate run": ("prompts", "generate", "annotate", "score", "pair"),
    "train": ("train",),
    "eval": ("eval",),
}


def invdpo(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def parameters(path: str) -> list[Any]:
    found: Any = get_command(app)
    for word in path.split():
        found = found.commands[word]
    return list(found.params)


def test_version() -> None:
    result = invdpo("--version")
    assert (result.exit_code, result.stdout) == (0, f"invdpo {__version__}\n")


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["curate", "--help"], ["demo", "-h"]])
def test_help(words: list[str]) -> None:
    result = invdpo(*words)
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")


@pytest.mark.parametrize("path", COMMANDS)
def test_every_field_is_a_flag(path: str) -> None:
    given = {option for parameter in parameters(path) for option in parameter.opts}
    for flag in flags(COMMANDS[path]):
        assert flag.option.split("/")[0] in given, f"{flag.section}.{flag.field}"


def test_help_says_what_a_field_is_its_default_and_its_choices() -> None:
    text = " ".join(invdpo("train", "--help").stdout.split())
    assert "--objective inversion-dpo|diffusion-dpo|sft Training objective. [inversion-dpo]" in text
    assert "--lora-targets A,B,... Layers that the LoRA adapts;" in text
    assert "`auto`: the usual ones. [auto]" in text
    assert "--max-steps INTEGER" in text


def test_names_that_two_sections_share_carry_the_section() -> None:
    names = {(flag.section, flag.field): flag.option for flag in flags(COMMANDS["curate run"])}
    assert names["prompts", "seed"] == "--prompts-seed"
    assert names["generate", "seed"] == "--generate-seed"
    assert names["generate", "num_candidates"] == "--num-candidates"
    assert len(set(names.values())) == len(names)


def test_flags_of_single_fields() -> None:
    assert [flag.option for flag in flags(["generate.model", "eval.seed"])] == ["--model", "--seed"]


def test_what_flags_mean() -> None:
    known = flags(SECTIONS)
    given = {
        "num_candidates": "4",
        "scorers": ["composition, clip", "extra"],
        "path": "none",
        "weights": ["composition=1,clip=0.5"],
        "num_points": "none",
        "lora_rank": None,
    }
    assert overrides(known, given) == {
        "prompts": {"path": None},
        "generate": {"num_candidates": "4"},
        "score": {"scorers": ["composition", "clip", "extra"]},
        "pair": {"weights": {"composition": "1", "clip": "0.5"}},
        "train": {"num_points": None},
    }


def test_every_default_given_as_a_flag_is_the_default() -> None:
    """The help's defaults are told in the words that the flags take."""
    known, given = flags(SECTIONS), {}
    for flag in known:
        if found := re.search(r"\[([^\]]*)\]$", flag.parameter().annotation.__metadata__[0].help):
            many = flag.kind in (tuple, dict)
            given[flag.name] = [found[1]] if many else found[1]
    assert len(given) > 30
    assert load_config(None, overrides(known, given)) == Config()


def test_defaults_then_workspace_then_file_then_flags(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "invdpo.yaml").write_text("prompts: {seed: 1, num_prompts: 1, split: heldout}\n")
    (tmp_path / "c.yaml").write_text("prompts: {seed: 2, num_prompts: 2}\n")
    result = invdpo("curate", "prompts", work, "--config", tmp_path / "c.yaml", "--num-prompts", 3)
    assert result.exit_code == 0, result.stderr
    found = load_config(work / "invdpo.yaml").prompts
    assert (found.source, found.split, found.seed, found.num_prompts) == ("shapes", "heldout", 2, 3)


def test_results_go_to_stdout_and_notes_to_stderr(tmp_path: Path) -> None:
    work = tmp_path / "work"
    result = invdpo("curate", "prompts", work, "--num-prompts", 3)
    header = "step made done before to do rejected seconds where"
    assert " ".join(result.stdout.splitlines()[0].split()) == header
    assert result.stderr == f"Next: invdpo curate generate {work}\n"
    again = invdpo("curate", "prompts", work, "--retry-rejected")
    assert again.stderr == f"Next: invdpo curate generate {work} --retry-rejected\n"


def test_json_is_one_document(tmp_path: Path) -> None:
    result = invdpo("curate", "prompts", tmp_path / "work", "--num-prompts", 3, "--json")
    data = json.loads(result.stdout)
    assert [(step["step"], step["made"]) for step in data["steps"]] == [("prompts", 3)]


def test_a_dry_run_makes_nothing(tmp_path: Path) -> None:
    small = ("--generate-batch-size", 2, "--num-inference-steps", 2)
    result = invdpo("curate", "run", tmp_path / "work", "--dry-run", "--json", *small)
    assert result.exit_code == 0, result.stderr
    data = json.loads(result.stdout)
    assert data["steps"][0]["planned"] == 400
    assert "generate: can be planned only after" in result.stderr
    assert not (tmp_path / "work").exists()
    expected = data["estimate"]
    names = ["generate", "annotate shapes", "score composition", "score clip"]
    assert [(s["step"], s["images"]) for s in expected["steps"]] == [(n, 3200) for n in names]
    assert all(step["seconds_each"] > 0 for step in expected["steps"])
    assert expected["download_bytes"] == 0
    assert expected["image_bytes"] > 3200 * 100


def test_all_wrong_options_are_told_at_once(tmp_path: Path) -> None:
    words = ["--num-prompts", "many", "--min-margin", "-1", "--weight", "clip", "--pair-seed", "x"]
    result = invdpo("curate", "run", tmp_path / "work", *words)
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[0] == "Error: options: 4 errors in the configuration."
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "prompts.num_prompts",
        "pair.weights.clip",
        "pair.min_margin",
        "pair.seed",
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["curate", "generate", "work"], "First run: invdpo curate prompts"),
        (["curate", "prompts", "work", "--source", "poems"], "Known: file, hub, scenes, shapes"),
        (["curate", "prompts", "work", "--config", "none.yaml"], "Give an existing YAML file"),
        (["eval", "nothing"], "no such folder"),
        (["train", "nothing", "--output", "tuned"], "nothing"),
    ],
)
def test_expected_errors(
    words: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invdpo(*words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert expected in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 3


def test_errors_as_json(tmp_path: Path) -> None:
    result = invdpo("curate", "generate", tmp_path / "work", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["kind"] == "WorkspaceError"


@pytest.mark.parametrize(
    "words", [["curate", "prompts"], ["curate", "walk"], ["train", "x", "--betta", "3"], ["nope"]]
)
def test_usage_errors(words: list[str]) -> None:
    result = invdpo(*words)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (WorkspaceError("full"), 1, "Error: full\n"),
        (ConfigError("a\n  b"), 1, "Error: a\n  b\n"),
        (KeyError("x"), 1, "Error: KeyError: 'x'\nThis is unexpected. Run it again with INVDPO_D"),
        (MemoryError("6 GiB"), 1, "Error: Out of memory: 6 GiB\nTry a smaller batch size"),
        (KeyboardInterrupt(), 130, "\nStopped. Finished work is kept. To continue:\n"),
    ],
)
def test_every_way_to_end(
    error: BaseException, code: int, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as exit_, command_errors(Output()):
        raise error
    assert exit_.value.exit_code == code
    assert capsys.readouterr().err.startswith(expected)


def test_a_traceback_only_when_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INVDPO_DEBUG", "1")
    with pytest.raises(typer.Exit), command_errors(Output()):
        raise WorkspaceError("full")
    text = capsys.readouterr().err
    assert "Traceback (most recent call last)" in text
    assert text.endswith("Error: full\n")


def test_a_command_of_its_own_parameters_and_those_of_a_section() -> None:
    small, seen = typer.Typer(), []

    @command(small, "go", "eval", example="go 3")
    def go(job: Any, count: int) -> None:
        """Go."""
        seen.append((count, job.config().eval.num_prompts))

    assert CliRunner().invoke(small, ["3", "--num-prompts", "7"]).exit_code == 0
    assert seen == [(3, 7)]


def test_options_stand_under_the_part_they_belong_to() -> None:
    """Each section of the configuration under a heading of its own, what all share at the end."""
    lines = invdpo("curate", "run", "--help").stdout.splitlines()
    assert lines[0].endswith(" curate run [OPTIONS] WORK")
    heads = [line.rstrip(":") for line in lines[1:] if re.match(r"\w.*:$", line)]
    sections = ["Prompts", "Candidates", "Annotations", "Scores", "Pairs", "Dataset"]
    assert heads == ["Arguments", *sections, "Common options", "Output options"]
    place = {name: lines.index(f"{name}:") for name in heads}
    options = {line.split()[0]: n for n, line in enumerate(lines) if line.startswith("  --")}
    assert place["Prompts"] < options["--num-prompts"] < place["Candidates"]
    assert place["Pairs"] < options["--min-margin"] < place["Dataset"]
    assert place["Common options"] < options["--json"] < place["Output options"]
    assert place["Output options"] < options["--log-file"]


def test_options_of_one_section_need_no_heading_of_their_own() -> None:
    lines = invdpo("curate", "prompts", "--help").stdout.splitlines()
    heads = [line for line in lines[1:] if re.match(r"\w.*:$", line)]
    assert heads == ["Arguments:", "Options:", "Common options:", "Output options:"]


def test_every_section_has_a_heading() -> None:
    assert list(HEADINGS) == list(SECTIONS)


def test_help_names_every_scorer_and_annotator() -> None:
    """The names stand in the help as text, since help may not load the plug-ins."""
    from invdpo.curate.annotators import ANNOTATORS
    from invdpo.curate.scorers import SCORERS
    from invdpo.schemas.config.annotate import AnnotateConfig
    from invdpo.schemas.config.score import ScoreConfig

    for section, field, known in (
        (AnnotateConfig, "annotators", ANNOTATORS),
        (ScoreConfig, "scorers", SCORERS),
    ):
        description = section.model_fields[field].description or ""
        listed = re.split(r"[.;]|, or plug-ins", description)[0]
        assert listed == f"Any of {', '.join(known.names())}"
