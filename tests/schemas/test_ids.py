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


@pytest.mark.parametrize(
    "same",
    [
        *(f"a child's{c} cats" for c in "\u200b\ufeff\u00ad\u202c\u2060\u200d"),
        "a child\u2019s cats",
        "\uff41 child's cats",
        "a child\u02bcs cats\ufe0f",
    ],
)
def test_what_looks_the_same_is_one_prompt(same: str) -> None:
    assert prompt_key(same) == prompt_key("a child's cats")


def test_keys_of_ordinary_texts_are_those_of_earlier_tables() -> None:
    assert prompt_key("a red circle above a blue square") == "cedddd2710596062"
    assert prompt_key(CAFE) == "60b487bba69a3712"
    assert (
        prompt_key("\u00e9l\u00e9phant, \u732b \u0645\u0631\u062d\u0628\u0627 \ud55c")
        == "bb1bbfe17ca696a6"
    )
