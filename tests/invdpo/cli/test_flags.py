"""The public flags: a list in a file, so that none comes or goes by accident.

A new flag adds its line to `flags.txt`. A line is only removed together with an entry in
CHANGELOG.md that tells users what to type instead; better keep the old name as a hidden one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from invdpo.cli import app

LIST = Path(__file__).with_name("flags.txt")
HOW = "add or remove these lines of tests/invdpo/cli/flags.txt by hand, in sorted order"


def flag_lines(command: Any, path: str = "invdpo") -> Iterator[str]:
    """`invdpo curate pair --margin (hidden)`, for every flag of a command and those below it."""
    for parameter in command.params:
        hidden = " (hidden)" if getattr(parameter, "hidden", False) else ""
        for name in (*parameter.opts, *parameter.secondary_opts):
            if name.startswith("-"):
                yield f"{path} {name}{hidden}"
    for name, inner in getattr(command, "commands", {}).items():
        yield from flag_lines(inner, f"{path} {name}")


def test_the_flags_are_those_of_the_list() -> None:
    listed = LIST.read_text(encoding="utf-8").splitlines()
    assert listed == sorted(set(listed)), "flags.txt: not sorted, or a line stands twice"
    flags = set(flag_lines(get_command(app)))
    assert flags - set(listed) == set(), f"new flags; {HOW}"
    assert set(listed) - flags == set(), f"flags that are gone; {HOW}"


def test_a_hidden_flag_is_accepted_and_not_in_the_help() -> None:
    from typer.testing import CliRunner

    pair = get_command(app).commands["curate"].commands["pair"]  # type: ignore[attr-defined]
    words = ["work", "--margin", "clip=0.5", "--target-images", "4"]
    given = pair.make_context("pair", words).params
    assert (list(given["margins"]), given["target_images"]) == (["clip=0.5"], "4")
    text = CliRunner().invoke(app, ["curate", "pair", "--help"]).stdout
    assert "--min-margin" in text
    assert "--margin" not in text.replace("--min-margin", "")
    assert "--target-images" not in text


def test_one_option_takes_several() -> None:
    """Given twice or with commas, a list; once, the text as it is, which may be a path."""
    from invdpo.options import flags, overrides

    known = flags(["generate", "pair"])

    def given(**values: list[str]) -> dict[str, dict[str, Any]]:
        return overrides(known, values)

    assert given(model=["a,b"]) == {"generate": {"model": "a,b"}}
    assert given(model=["a,b", "c"]) == {"generate": {"model": ["a", "b", "c"]}}
    assert given(lora=["none"]) == {"generate": {"lora": None}}
    assert given(min_margin=["2", "clip=1"]) == {"pair": {"min_margin": ["2", "clip=1"]}}


def test_a_single_field_keeps_its_name_and_one_may_be_left_out() -> None:
    from invdpo.options import flags

    known = flags(["generate.batch_size", "annotate", "-annotate.annotators", "score"])
    names = {(flag.section, flag.field): flag.name for flag in known}
    assert names["generate", "batch_size"] == "batch_size"
    assert names["annotate", "batch_size"] == "annotate_batch_size"
    assert names["score", "vlm_url"] == "score_vlm_url"
    assert names["score", "annotator"] == "annotator"
    assert ("annotate", "annotators") not in names
