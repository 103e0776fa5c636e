"""Numbers, times and errors in words."""

from __future__ import annotations

from typing import Any

import pytest

from invdpo.schemas.io.text import (
    MAX_QUOTED,
    count_noun,
    describe_error,
    format_bytes,
    format_counts,
    format_seconds,
    printable,
    quote,
    shorten,
)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1500, "1.5 kB"),
        (268.4e6, "268.4 MB"),
        (12.34e9, "12.3 GB"),
        (1234.5e12, "1,234.5 TB"),
    ],
)
def test_bytes(size: float, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (3900, "1 h 05 min")],
)
def test_seconds(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_counts_leave_zeros_out() -> None:
    assert format_counts({"questions": 1250, "tries": 0, "cost": 0.125}) == (
        "1,250 questions, 0.125 cost"
    )


def test_an_error_is_one_line_without_secrets() -> None:
    assert describe_error(ValueError("first\nsecond")) == "ValueError: first"
    assert describe_error(KeyError()) == "KeyError"
    assert describe_error(OSError("https://u:KEY@h/x hf_abcdefgh")) == "OSError: https://h/x hf_…"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc é 日本 👩‍🚀", "a\tb\nc é 日本 👩‍🚀"),
        ("\x1b[2J\x9b31m\x07\r", "\\u001b[2J\\u009b31m\\u0007\\u000d"),
        ("abc\u202edcba\u2028", "abc\\u202edcba\\u2028"),
    ],
)
def test_no_text_commands_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_one_is_singular() -> None:
    counted = [count_noun(n, "row") for n in (0, 1, 1250)]
    assert counted == ["0 rows", "1 row", "1,250 rows"]
    assert [count_noun(n, "entry") for n in (1, 2)] == ["1 entry", "2 entries"]
    assert format_counts({"questions": 1, "tokens in": 2, "cost": 0}) == "1 question, 2 tokens in"


def test_what_an_error_quotes_is_short_and_made_at_once() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in ("x" * 10**7, list(range(10**6)), 10**10_000, deep, {"k" * 10**6: 1}):
        assert len(quote(value)) <= MAX_QUOTED
    assert quote({"a": [1, "b"]}) == "{'a': [1, 'b']}"
    assert quote("\x1b[2J") == r"'\x1b[2J'"
    assert shorten("\x1b" * 1000).startswith("\\u001b")
    assert shorten("half \ud83d") == "half ?"
