"""The YAML head of a README, as the Hub's own client finds it."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import metadata_load

from invdpo.data_cards.head import split_head
from invdpo.schemas import DataError


@pytest.mark.parametrize(
    ("text", "head", "body"),
    [
        ("---\na: 1\n---\n# Text\n", {"a": 1}, "# Text\n"),
        ("---\r\na: 1\r\n---\r\n# Text\r\n", {"a": 1}, "# Text\n"),
        ("\n \n---\na: 1\n---\nText", {"a": 1}, "Text"),
        ("---\na: 1\n---", {"a": 1}, ""),
        ("---\na: 1\n---\nText\n---\nmore", {"a": 1}, "Text\n---\nmore"),
        ("---\na: b---\n---\n", {"a": "b---"}, ""),
        ("# Text\n\n---\na: 1\n---\n", {}, "# Text\n\n---\na: 1\n---\n"),
        ("", {}, ""),
    ],
)
def test_head_and_body(text: str, head: dict[str, object], body: str, tmp_path: Path) -> None:
    assert split_head(text, "card") == (head, body)
    (tmp_path / "README.md").write_text(text, encoding="utf-8", newline="")
    assert (metadata_load(tmp_path / "README.md") or {}) == head


def test_a_head_may_be_empty() -> None:
    assert split_head("---\n---\nText\n", "card") == ({}, "Text\n")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("---\na: 1\nb: [\n---\n", r"work/README\.md: the head is not YAML \(line 4\)"),
        ("\n\n---\na: [\n---\n", r"the head is not YAML \(line 5\)"),
        ("---\nday: 2024-13-45\n---\n", "the head is not YAML"),
        ("---\n- a list\n---\n", "not a mapping between two lines of ---"),
        ("---\na: 1\n", "not a mapping between two lines of ---"),
        ("---\na: 1\n----\n", "not a mapping between two lines of ---"),
    ],
)
def test_what_is_no_head_is_told(text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        split_head(text, "work/README.md")
