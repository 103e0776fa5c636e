"""The README and the pages in `docs/`: their commands are ours, and their links lead somewhere.

Commands that need weights or a network can't run here, so each goes through the command line up to
the point where all its options are read and checked. What runs on the bundled model is run by
`test_examples.py`, `test_pairing_page.py` and `test_derive.py`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr
from functools import cache
from io import StringIO
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from invdpo.cli import app
from invdpo.schemas.config.load import resolve_config
from invdpo.schemas.config.presets import preset_path
from invdpo.schemas.config.train import TrainConfig
from tests.invdpo.cli.test_flags import flag_lines

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELL = {"", "sh", "bash", "console"}
"""Language tags of blocks that hold commands; others are skipped."""
STARTERS = re.compile(r"(?:(?:accelerate launch|torchrun|python) (?:.* )?-m )?invdpo (?=\S)")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
THEIRS = {
    *("--user", "--device", "--tiny"),  # of other programs
}


def block_lines(text: str) -> Iterator[str]:
    """Lines of indented blocks and of fenced ones for a shell, with `\\` at an end joined."""
    fence: str | None = None
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("```"):
            fence = line[3:].strip() if fence is None else None
        elif fence in SHELL or (fence is None and line.startswith("    ")):
            yield line.strip()


def commands(text: str) -> Iterator[list[str]]:
    """Words of each `invdpo …` of a page's blocks, however it is started; `…` is left out."""
    for line in block_lines(text):
        if started := STARTERS.match(line):
            words = shlex.split(line[started.end() :], comments=True)
            ours = takewhile(lambda word: word not in {">", "|", "&&"}, words)
            yield [word for word in ours if word != "…"]


def inline_flags(text: str) -> Iterator[tuple[str, str]]:
    """Command and flag of `invdpo COMMAND … --flag` in a sentence; no command for a lone `--flag`.

    First columns of tables may hold the options of other programs.
    """
    prose = re.sub(r"^\|[^|]*\|", "|", text, flags=re.MULTILINE)
    for span in re.findall(r"`([^`\n]+)`", prose):
        words = span.split()
        if words[:1] == ["invdpo"] or span.startswith("--"):
            names = [" ".join(words[:count]) for count in (3, 2)]
            name = next((name for name in names if name in flags_of()), "")
            yield from ((name, flag) for flag in FLAG.findall(span))


def checked(_out: Any, common: Any, given: Mapping[str, Mapping[str, Any]], *_: Any) -> None:
    """In place of a `Job`: check the values, as the command would, and go no further."""
    preset = getattr(common, "preset", None)
    resolve_config([preset_path(preset)] if preset else [], given)
    raise typer.Exit


@cache
def command_line() -> Any:
    """Building it takes longer than reading a command."""
    return get_command(app)


def refusal(words: list[str]) -> str:
    """What the command line has against a command, if anything; `checked` must stand in."""
    text = StringIO()
    with redirect_stderr(text):
        try:
            status = command_line().main(words, "invdpo", standalone_mode=False)
        except Exception as error:  # noqa: BLE001 - typer does not export its parser's
            return f"{error}"
    return text.getvalue() if status else ""


def refusals(text: str) -> dict[str, str]:
    """Those of a page's commands that are refused, and why."""
    answers = {shlex.join(words): refusal(words) for words in commands(text)}
    return {line: answer for line, answer in answers.items() if answer}


@cache
def flags_of() -> dict[str, set[str]]:
    """Command -> its flags; of no command, those of all."""
    known: dict[str, set[str]] = {"": set(THEIRS)}
    for line in flag_lines(command_line()):
        name, flag = line.removesuffix(" (hidden)").rsplit(" ", 1)
        known.setdefault(name, set()).add(flag)
        known[""].add(flag)
    return known


def unknown_flags(text: str) -> set[tuple[str, str]]:
    """Flags in a page's sentences that their command, or where none is named all commands, lack."""
    known = flags_of()
    return {
        (name, flag) for name, flag in inline_flags(text) if flag not in known[name] | {"--help"}
    }


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", title.lower()) for title in titles]
    return {title.replace(" ", "-") for title in plain}


@pytest.fixture
def only_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("invdpo.cli.command.Job", checked)


@pytest.mark.usefixtures("only_checked")
def test_every_command_has_valid_options() -> None:
    wrong = {page.name: refusals(page.read_text(encoding="utf-8")) for page in PAGES}
    assert {name: lines for name, lines in wrong.items() if lines} == {}
    assert sum(len(list(commands(p.read_text(encoding="utf-8")))) for p in PAGES) > 80


@pytest.mark.usefixtures("only_checked")
def test_a_wrong_option_is_found() -> None:
    page = """
    invdpo train data --output tuned --lr 1e-4
    accelerate launch -m invdpo train data --output tuned --beta low
    invdpo curate run work --preset sd16   # no such preset
    invdpo train data --output tuned \\
        --beta 100 … > log.txt

```python
invdpo train --no-such-option
```
"""
    found = refusals(page)
    assert [line.split()[-1] for line in found] == ["1e-4", "low", "sd16"]
    wanted = zip(["No such option: --lr", "train.beta", "sd15"], found.values(), strict=True)
    assert all(text in answer for text, answer in wanted), found
    sentence = "`invdpo train … --lr 1`, `--no-such` and `invdpo eval --checkpoints`, not --this"
    assert unknown_flags(sentence) == {("invdpo train", "--lr"), ("", "--no-such")}


def test_flags_in_sentences_exist() -> None:
    wrong = {page.name: unknown_flags(page.read_text(encoding="utf-8")) for page in PAGES}
    assert {name: flags for name, flags in wrong.items() if flags} == {}


def test_the_defaults_of_training_are_those_of_the_page() -> None:
    """Those that are a number or in backticks; others are described in words."""
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`--[^|]+) \| ([^|]+) \|", page, re.MULTILINE)
    known = {
        flag: default.strip("`")
        for flags, defaults in rows
        for flag, default in zip(FLAG.findall(flags), defaults.split(", "), strict=False)
        if re.fullmatch(r"`\w+`|[\d.e-]+", default)
    }
    fields = {flag: TrainConfig.model_fields[flag[2:].replace("-", "_")] for flag in known}
    wrong = {f: field.default for f, field in fields.items() if not same(known[f], field.default)}
    assert (wrong, len(known) > 12) == ({}, True)


def same(text: str, default: float | str) -> bool:
    return text == default if isinstance(default, str) else float(text) == default


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            path, _, anchor = target.partition("#")
            if path.startswith("https:"):
                continue
            other = page.parent / path if path else page
            assert other.exists(), (page.name, target)
            if anchor:
                assert anchor in anchors(other.read_text(encoding="utf-8")), (page.name, target)
