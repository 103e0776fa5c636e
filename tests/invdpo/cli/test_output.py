"""What is printed: tables in line, JSON that any program reads."""

from __future__ import annotations

import io
import json
import sys

import pytest

from invdpo.__main__ import take_any_text
from invdpo.cli.output import Output, table


def test_tables() -> None:
    text = table(("name", "count", "share"), [("a", 1200, 0.51234), ("long name", 7, None)])
    assert text.splitlines() == [
        "name       count   share",
        "a          1,200  0.5123",
        "long name      7       –",
    ]


def test_nan_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        Output(as_json=True).result({"x": float("nan")}, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp932", "utf-8"])
def test_any_text_on_any_stream(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "é – … 漢 😀 \udce9"
    for name in ("stdout", "stderr"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, name, stream)
    take_any_text()
    Output().result({}, text)
    Output().note(text)
    Output(as_json=True).error(text, "Kind")
    sys.stdout.flush()
    printed, noted = (getattr(sys, name).buffer.getvalue() for name in ("stdout", "stderr"))
    expected = text.encode(encoding, "backslashreplace") + b"\n"
    assert printed.startswith(expected)
    assert noted == expected + b"Error: " + expected
    assert json.loads(printed[len(expected) :].decode(encoding))["error"]["text"] == text
