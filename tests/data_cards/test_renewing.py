"""A card that a person has edited, made anew."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from invdpo.data_cards import render_dataset_card, renewed
from invdpo.data_cards.head import split_head
from invdpo.data_cards.renewing import SECTION
from invdpo.schemas import DataError
from tests.data_cards.test_render import DATASET

OLD = render_dataset_card(DATASET)
NEW = render_dataset_card(
    DATASET | {"num_train": 7, "scorers": ["brisque"], "models": ["org/unknown"]}
)


def edited(text: str, **head: Any) -> str:
    """The card with other values in its head; None takes a key away."""
    old, body = split_head(text, "card")
    merged = {key: value for key, value in (old | head).items() if value is not None}
    return f"---\n{yaml.safe_dump(merged, sort_keys=False)}---\n{body}"


def test_without_an_older_card_the_new_one_stays_as_it_is() -> None:
    assert renewed(NEW, None) == NEW
    assert renewed(NEW, " \n") == NEW


def test_an_untouched_card_becomes_the_new_one() -> None:
    assert renewed(NEW, OLD) == NEW


def test_words_between_the_sections_stay() -> None:
    mine = OLD.replace("# shapes\n", "# My shapes\n\nMade for a talk.\n").replace(
        "<!-- invdpo:end columns -->", "<!-- invdpo:end columns -->\n\n## Thanks\n\nTo all."
    )
    text = renewed(NEW, mine)
    assert "# My shapes\n\nMade for a talk." in text
    assert "## Thanks\n\nTo all." in text
    assert "7 to train on" in text
    assert "1200 to train on" not in text
    assert "chosen_brisque" in text
    assert "chosen_composition" not in text


def test_a_section_that_was_taken_out_stays_out() -> None:
    mine = SECTION.sub(lambda m: "" if m["name"] == "limits" else m[0], OLD)
    assert "## Limits" not in renewed(NEW, mine)


def test_words_inside_a_section_are_ours_and_renewed() -> None:
    mine = OLD.replace("## Use\n", "## Use\n\nDo not.\n")
    assert "Do not." not in renewed(NEW, mine)


def test_a_card_of_a_persons_own_keeps_its_text() -> None:
    text = renewed(NEW, "# Ours\n\nNothing here was generated.\n")
    head, body = split_head(text, "card")
    assert body.strip().startswith("# Ours\n\nNothing here was generated.")
    assert head["configs"] == split_head(NEW, "card")[0]["configs"]


def test_keys_that_a_person_added_or_changed_stay() -> None:
    mine = edited(OLD, license="cc-by-4.0", arxiv="2507.11554", pretty_name="Mine", tags=None)
    head, _ = split_head(renewed(NEW, mine), "card")
    assert (head["license"], head["arxiv"], head["pretty_name"]) == (
        "cc-by-4.0",
        "2507.11554",
        "Mine",
    )
    assert "tags" not in head
    again, _ = split_head(renewed(OLD, renewed(NEW, mine)), "card")
    assert again["license"] == "cc-by-4.0"


def test_keys_that_nobody_touched_are_renewed() -> None:
    head, _ = split_head(renewed(NEW, edited(OLD, arxiv="1")), "card")
    assert head["license"] == "other"
    assert head["size_categories"] == ["n<1K"]


def test_keys_that_must_agree_with_the_files_are_ours() -> None:
    extra = {"config_name": "mine", "data_files": "mine/*.parquet"}
    wrong = {"config_name": "default", "data_files": "wrong.parquet"}
    mine = edited(OLD, dataset_info={"features": []}, configs=[wrong, extra])
    head, _ = split_head(renewed(NEW, mine), "card")
    fresh = split_head(NEW, "card")[0]
    assert head["dataset_info"] == fresh["dataset_info"]
    assert head["configs"] == [*fresh["configs"], extra]


@pytest.mark.parametrize("head", ["{broken", "- a list", "a: b: c"])
def test_a_broken_head_is_told(head: str) -> None:
    with pytest.raises(DataError, match=r"work/README.md: the head is no"):
        renewed(NEW, f"---\n{head}\n---\n# Text\n", "work/README.md")


@settings(max_examples=40)
@given(words=st.text(min_size=1).filter(lambda text: "invdpo:" not in text and text.strip()))
def test_any_words_survive_twice(words: str) -> None:
    words = " ".join(words.replace("---", "").split()) or "x"
    mine = OLD.replace("## Use", "## Use").replace("# shapes\n", f"# shapes\n\n{words}\n")
    text = renewed(OLD, renewed(NEW, mine))
    assert words in text
    assert renewed(OLD, text) == text
