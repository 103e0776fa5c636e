"""Mends what spaCy often mistakes in prompts, before and after it reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from invdpo.curate.scene_graphs.lexicon import read_lexicon
from invdpo.curate.scene_graphs.sentences import Token
from invdpo.curate.scene_graphs.vocabulary import read_vocabulary

NOUN_ROLES = ("nsubj", "nsubjpass", "dobj", "pobj")
_IN_PROGRESS = re.compile(r"\b(is|are|was|were) (?:[a-z]+ly )?[a-z]+ing\b")
_JOINED = re.compile(r"\b(and (?:then )?)(?=(?:[a-z]+ly )?([a-z]+ing)\b(?: ([a-z]+))?)")


def repeat_auxiliary(text: str) -> str:
    """`is sewing and smiling` with `is` before both, so that neither is taken for a noun."""
    first = _IN_PROGRESS.search(text)
    if first is None:
        return text
    auxiliary = first[1]

    def repeat(joined: re.Match[str]) -> str:
        return joined[0] if _is_noun(joined[2], joined[3]) else f"{joined[1]}{auxiliary} "

    return text[: first.end()] + _JOINED.sub(repeat, text[first.end() :])


def _is_noun(word: str, following: str | None) -> bool:
    """Whether the word in -ing is a thing or, before another noun, what that is for."""
    words = read_vocabulary()
    purpose = word in read_lexicon().purposes and following not in {None, *words.function_words}
    return purpose or word in words.ing_names


def mend_nouns(tokens: Sequence[Token]) -> list[Token]:
    """The same words; one with an article is a noun: `the red rose contrasted`."""
    with_article = {token.head for token in tokens if token.dep == "det"}
    return [
        token._replace(pos="NOUN", tag="NN", lemma=token.text.lower())
        if n in with_article
        and token.dep in NOUN_ROLES
        and token.pos not in ("NOUN", "PROPN", "ADJ", "NUM")
        else token
        for n, token in enumerate(tokens)
    ]
