"""YAML and JSON of anyone's: bounded, whole, and refused in plain words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from invdpo.schemas.errors import DataError, DocumentError
from invdpo.schemas.io.documents import (
    MAX_DEPTH,
    MAX_NODES,
    MAX_YAML,
    as_written,
    read_file,
    read_json,
    read_yaml,
)


def bomb(levels: int) -> str:
    """YAML whose last list stands for 9 ** levels values."""
    lines = ["x0: &x0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


def refusal(read: Any, *given: Any) -> str:
    with pytest.raises(DocumentError) as error:
        read(*given)
    text = str(error.value)
    assert text.startswith("the file: ")
    assert len(text) < 400
    return text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (bomb(9), f"expands to more than {MAX_NODES:,} values (line "),
        ("a: &a [*a]", "alias"),
        ("[" * 20_000, f"nested more than {MAX_DEPTH} levels deep"),
        ("- " * 20_000, f"nested more than {MAX_DEPTH} levels deep"),
        ("[" + "1, " * (MAX_NODES + 9) + "1]", f"more than {MAX_NODES:,} values"),
        ("a" * (MAX_YAML + 1), "longer than the allowed 500.0 kB"),
        ("a: 0x" + "f" * 10_000, "a number or date that is too long (line 1, column 4)"),
        ("a: " + "1:" * 10_000 + "1", "a number or date that is too long"),
        ("a: 1\na: 2", "the key 'a' is given twice (line 2, column 1)"),
        (
            "? [a]\n: 1",
            "a list or mapping is used as a key; quote it if it is text (line 1, column 3)",
        ),
        (
            "a: 1\nb: {{name}}",
            "a list or mapping is used as a key; quote it if it is text (line 2, ",
        ),
        ("a: 2026-13-45", "month"),
        ("a: !!python/name:os.system x", "could not determine a constructor"),
        (f"{'k' * 900}: 1\n{'k' * 900}: 2", "kkk...kkk"),
        ("a: [", "expected the node content"),
        ("\x1b[2J: 1", "special characters are not allowed"),
    ],
)
def test_yaml_is_refused(text: str, reason: str) -> None:
    assert reason in refusal(read_yaml, text, "the file")


@pytest.mark.parametrize("text", ['{"a": 1, "b": 2, "a": 3}', '[{"x": {"a": 1, "a": 1}}]'])
def test_json_with_a_key_twice_is_refused(text: str) -> None:
    assert "the key 'a' is given twice" in refusal(read_json, text, "the file")


def test_yaml_that_people_write() -> None:
    text = "base: &b {x: 1}\nmore:\n  <<: *b\n  y: [2, *b]\n\ndate: 2026-11-28\n"
    values = read_yaml(text.encode("utf-8-sig"), "the file")
    assert values["more"] == {"x": 1, "y": [2, {"x": 1}]}
    assert read_yaml("", "the file") is None
    nested = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    for read in (read_yaml, read_json):
        value, depth = read(nested, "the file"), 1
        while value:
            value, depth = value[0], depth + 1
        assert depth == MAX_DEPTH


def test_an_error_says_which_line() -> None:
    with pytest.raises(DocumentError) as error:
        read_yaml("a: 1\nb: 2\na: 3\n", "x")
    assert error.value.line == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 20_000 + "]" * 20_000, "nested more than 100 levels deep"),
        ('{"a":' * 101 + "1" + "}" * 101, "nested more than 100 levels deep"),
        ("1" * 5_000, "a number is too long"),
        (b"\xff\xfe", "not UTF-8 text at byte 0"),
        ("", "not JSON: Expecting value"),
        ('{"a": "\\ud83d"}', "half of a surrogate pair"),
    ],
)
def test_json_is_refused(text: str | bytes, reason: str) -> None:
    assert reason in refusal(read_json, text, "the file")


def test_json_of_another_kind() -> None:
    assert "found a list, expected an object" in refusal(read_json, "[]", "the file", dict)
    assert read_json(b'\xef\xbb\xbf{"a": [1]}', "the file", dict) == {"a": [1]}
    assert read_json('"\\ud83d\\ude00"', "the file") == "\U0001f600"
    assert read_json('"\\ud83d"', "the file", halves=True) == "\ud83d"


def test_a_file_of_any_size_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("wb") as file:
        file.truncate(10**12)  # which no machine could read
    with pytest.raises(DocumentError, match=r"longer than the allowed 16\.0 MB"):
        read_file(path)


def test_what_we_did_not_write() -> None:
    with (
        pytest.raises(DataError, match=r"^the table: not in the form that invdpo writes"),
        as_written("the table"),
    ):
        [][0]
    with pytest.raises(DataError, match=r"^ours$"), as_written("the table"):
        raise DataError("ours")
