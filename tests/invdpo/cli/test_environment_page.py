"""`docs/environment.md` names the variables that are read and the fields of all commands."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from typer.main import get_command

from invdpo.cli import app
from invdpo.environment import VARIABLES
from invdpo.options import section_class
from invdpo.schemas.config import Config
from tests import layout

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "environment.md"
NAMED = re.compile(r"\b(?:INVDPO|HF|XDG|AWS|RAY|WANDB|CUDA|OMP)_[A-Z_]*[A-Z]\b|\bPYTHONUTF8\b")
"""Variables that our messages and pages speak of."""
EXPANDED = {"HOME"}
"""Read by `os.path.expanduser`."""


@cache
def sources() -> dict[Path, str]:
    rooms = {"invdpo", *layout.ROOMS}
    paths = [p for p in layout.files(ROOT, "*.py") if p.relative_to(ROOT).parts[0] in rooms]
    return {path: path.read_text(encoding="utf-8") for path in paths}


def read_by(source: str) -> Iterator[str]:
    """The variables that a file reads or sets; `?` for one whose name is not in the file."""
    tree = ast.parse(source)
    constants: dict[str, Any] = {}
    for line in tree.body:
        if isinstance(line, ast.Assign):
            names, values = line.targets[0], line.value
            pairs = [(names, values)]
            if isinstance(names, ast.Tuple) and isinstance(values, ast.Tuple):
                pairs = list(zip(names.elts, values.elts, strict=True))
            constants |= {ast.unparse(name): value for name, value in pairs}
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            called, arguments = ast.unparse(node.value), [node.slice]
        elif isinstance(node, ast.Call):
            called, arguments = ast.unparse(node.func), node.args[:1]
            arguments += [ast.Constant(keyword.arg) for keyword in node.keywords]
        else:
            continue
        if re.fullmatch(r"(os\.)?(environ(\.\w+)?|getenv)", called):
            for argument in arguments:
                name = constants.get(ast.unparse(argument), argument)
                yield str(name.value) if isinstance(name, ast.Constant) else "?"


def test_how_variables_are_found() -> None:
    code = (
        "A, B = 'X', 'Y'\nos.environ.get(A, 1)\nos.environ[B]\nos.getenv('Z')\nos.environ.get(name)"
    )
    assert list(read_by(code)) == ["X", "Y", "Z", "?"]
    assert list(read_by("os.environ.update(no_proxy='')")) == ["no_proxy"]


def variables() -> set[str]:
    read = [text for text in sources().values() if "environ" in text or "getenv" in text]
    found = [name for text in read for name in read_by(text)]
    assert found.count("?") == 1, "a variable whose name no constant says"  # that of a key
    keys = {
        info.default
        for section in Config.model_fields
        for name, info in section_class(section).model_fields.items()
        if name.endswith("_key_variable")
    }
    pages = [path for path in (ROOT / "docs").glob("*.md") if path != PAGE]
    texts = [*sources().values(), *(page.read_text(encoding="utf-8") for page in pages)]
    named = {match for text in texts for match in NAMED.findall(text)}
    return {name.upper() for name in found if name != "?"} | keys | VARIABLES | EXPANDED | named


def rows() -> list[list[str]]:
    """The first and the second column of every row of the page's tables."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [line.split("|")[1:3] for line in lines if line.startswith("| `")]


def test_the_page_names_the_variables_that_are_read_and_no_other() -> None:
    listed = [name for first, _ in rows() for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", first)]
    assert sorted(listed) == sorted(variables())


@cache
def json_fields() -> dict[str, set[str]]:
    """Command -> the fields that the page gives it, those of its other modes among them."""
    fields: dict[str, set[str]] = {}
    for first, second in rows():
        for words in re.findall(r"`([a-z][a-z -]*)`", first):
            command = words.partition(" --")[0]
            fields.setdefault(command, set()).update(re.findall(r"`(\$?\w+)`", second))
    return fields


def with_json(command: Any, *path: str) -> Iterator[str]:
    for name, inner in getattr(command, "commands", {}).items():
        yield from with_json(inner, *path, name)
    if any("--json" in parameter.opts for parameter in command.params):
        yield " ".join(path)


def test_the_page_has_the_fields_of_every_command() -> None:
    """Whether they are the right ones is tested with the examples, which run all commands."""
    assert set(json_fields()) == set(with_json(get_command(app)))
    assert all(json_fields().values())
