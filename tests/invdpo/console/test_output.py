"""What is printed: tables in line, JSON that any program reads."""

from __future__ import annotations

import io
import json
import sys

import pytest

from invdpo.__main__ import take_any_text
from invdpo.console.output import Output, PlainStream, table


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


ODD = "\x1b]0;title\x07\x9b2J\r"
SHOWN = "\\u001b]0;title\\u0007\\u009b2J\\u000d"


def test_nothing_printed_commands_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output()
    out.result({}, f"result {ODD}")
    out.note(f"note {ODD}")
    out.error(f"error {ODD}", "DataError")
    printed = capsys.readouterr()
    assert printed.out == f"result {SHOWN}\n"
    assert printed.err == f"note {SHOWN}\nError: error {SHOWN}\n"


def test_json_keeps_every_character(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=True).result({"x": ODD}, "")
    printed = capsys.readouterr().out
    assert not set(printed) & set("\x1b\x9b\x07\r")
    assert json.loads(printed) == {"x": ODD}


def test_a_net_under_all_else_lets_bars_move() -> None:
    file = io.StringIO()
    stream = PlainStream(file)
    assert stream.write(f"{ODD}\n") == len(f"{SHOWN[:-6]}\r\n")
    stream.write("\r 5%\x1b[A")
    assert file.getvalue() == f"{SHOWN[:-6]}\r\n\r 5%\x1b[A"
    assert not stream.isatty()
