"""Content hashes: what counts as the same."""

from __future__ import annotations

import unicodedata

import pytest

from invdpo.schemas.ids import fold, prompt_key

CAFE = "Café  crème,\nGroße Straße"


@pytest.mark.parametrize(
    "same",
    [
        unicodedata.normalize("NFD", CAFE),
        CAFE.upper(),
        " café crème, GROSSE strasse ",
        "café crème, große straße",
    ],
)
def test_one_prompt_in_several_spellings_has_one_key(same: str) -> None:
    assert prompt_key(same) == prompt_key(CAFE)
    assert len(prompt_key(same)) == 16


def test_other_words_are_another_prompt() -> None:
    assert len({prompt_key(text) for text in ("a cat", "a cap", "cat", "a c at")}) == 4


def test_words_are_compared_without_their_unicode_form() -> None:
    assert fold("CAFE\u0301  Cre\u0300me") == "caf\u00e9 cr\u00e8me"
