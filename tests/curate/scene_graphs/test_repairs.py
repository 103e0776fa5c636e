"""What is mended before and after the analysis, without a model."""

from __future__ import annotations

import pytest

from invdpo.curate.scene_graphs.repairs import mend_nouns, repeat_auxiliary
from invdpo.curate.scene_graphs.sentences import Token


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("A man is sewing and smiling.", "A man is sewing and is smiling."),
        ("Dogs were quickly running and barking", "Dogs were quickly running and were barking"),
        ("A man is holding bait and fishing rods.", "A man is holding bait and fishing rods."),
        ("A man is sitting and fishing in a lake.", "A man is sitting and is fishing in a lake."),
        ("A girl is painting a king and building", "A girl is painting a king and building"),
        ("A man riding a horse and waving", "A man riding a horse and waving"),
    ],
)
def test_every_joined_activity_has_its_auxiliary(text: str, mended: str) -> None:
    assert repeat_auxiliary(text) == mended


def test_a_word_with_an_article_is_a_noun() -> None:
    tokens = [
        Token("The", "the", "DT", "DET", "det", 1),
        Token("rose", "rise", "VBD", "VERB", "nsubj", 2),
        Token("grew", "grow", "VBD", "VERB", "ROOT", 2),
    ]
    mended = mend_nouns(tokens)
    assert mended[1] == Token("rose", "rose", "NN", "NOUN", "nsubj", 2)
    assert [mended[0], mended[2]] == [tokens[0], tokens[2]]
