"""What is printed: tables in line, JSON that any program reads."""

from __future__ import annotations

import pytest

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
