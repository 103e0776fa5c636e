"""The objects that a sentence mentions, collected while its clauses are read."""

from __future__ import annotations

from collections.abc import Sequence

from invdpo.curate.scene_graphs.noun_phrases import PRONOUNS, NotUnderstood, NounPhrases
from invdpo.curate.scene_graphs.sentences import Token


class Mentions:
    """Objects with attributes and relations; items are known by their positions in `_items`."""

    def __init__(self, sentence: NounPhrases) -> None:
        self._s = sentence
        self._items: list[tuple[str, list[str]]] = []
        self._relations: list[tuple[int, str, int]] = []
        self._mentioned: dict[int, list[int]] = {}

    def _token(self, position: int) -> Token:
        return self._s.tokens[position]

    def _group(self, noun: int, subjects: Sequence[int] = ()) -> list[int]:
        """The items of a noun and of those joined to it by `and`."""
        joined = self._s.children(noun, "conj")
        first = self._mention(noun, subjects)
        return [*first, *(n for one in joined for n in self._group(one, subjects or first))]

    def _mention(self, noun: int, subjects: Sequence[int]) -> list[int]:
        """The items of one noun; a pronoun stands for the subjects."""
        if noun in self._mentioned:
            return self._mentioned[noun]
        token = self._token(noun)
        if token.pos == "PRON":
            return self._meant(token, subjects)
        owner = self._s.owner(noun)
        if owner is not None:
            items = self._mention(owner, subjects)
            self._add_words(items, self._s.adjectives(noun)[0])
            self._mentioned[noun] = items
            return items
        if not self._s.is_thing(noun):
            raise NotUnderstood
        self._mentioned[noun] = items = self._new(noun)
        for child in self._s.children(noun):
            self._modify(items, child, subjects)
        return items

    def _meant(self, pronoun: Token, subjects: Sequence[int]) -> list[int]:
        """What a pronoun stands for: the subjects, or as an object what was named before."""
        others = [n for n in range(len(self._items)) if n not in subjects]
        word = pronoun.text.lower()
        if word not in PRONOUNS or not subjects:
            raise NotUnderstood
        if pronoun.dep in ("dobj", "pobj"):
            if not others:
                raise NotUnderstood
            return others[-1:]
        if any(name == "of" and first in subjects for first, name, _ in self._relations):
            raise NotUnderstood  # the fur of the kitten, or the kitten
        several = {n for n, (label, _) in enumerate(self._items) if label.endswith("s")}
        if word == "they" and several.difference(subjects):
            raise NotUnderstood  # those, or the subjects
        return list(subjects)

    def _new(self, noun: int) -> list[int]:
        token = self._token(noun)
        words, names = self._s.adjectives(noun)
        count = self._s.count(noun)
        plural = token.tag in ("NNS", "NNPS")
        last = token.lemma if plural and count > 1 else token.text
        label = " ".join([*names, last.lower()])
        if content := self._s.content(noun):
            label = f"{label} of {content}"
        determiners = {self._token(n).text.lower() for n in self._s.children(noun, "det")}
        if "the" in determiners:
            same = [
                n
                for n, (name, known) in enumerate(self._items)
                if name == label and {*words} <= {*known}
            ]
            if len(same) == 1:
                return same
        if not determiners and not plural and any(name == label for name, _ in self._items):
            raise NotUnderstood  # hand in hand
        first = len(self._items)
        self._items += [(label, list(words)) for _ in range(count)]
        return list(range(first, first + count))

    def _modify(self, items: list[int], child: int, subjects: Sequence[int]) -> None:
        """What depends on a noun that is no part of its name."""
        raise NotImplementedError

    def _relate(self, first: Sequence[int], name: str, second: Sequence[int]) -> None:
        self._relations += [(a, name, b) for a in first for b in second if a != b]

    def _add_words(self, items: Sequence[int], words: Sequence[str]) -> None:
        for item in items:
            self._items[item][1].extend(words)
