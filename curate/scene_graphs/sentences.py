"""A sentence with its parts of speech and dependencies, whichever program analysed it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Token(NamedTuple):
    """One word, in the terms of spaCy's English models."""

    text: str
    lemma: str
    tag: str
    """Penn Treebank: NN, NNS, VBG, …"""
    pos: str
    dep: str
    head: int
    """Position of the word that it depends on; its own for the root."""


class Sentence:
    """The tree over some tokens, which are named by their positions."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self._children: list[list[int]] = [[] for _ in tokens]
        for position, token in enumerate(tokens):
            if token.head != position:
                self._children[token.head].append(position)

    def children(self, position: int, *deps: str) -> list[int]:
        """What depends on a word directly, in order; of these kinds, or all."""
        return [
            child
            for child in self._children[position]
            if not deps or self.tokens[child].dep in deps
        ]

    def roots(self) -> list[int]:
        """The words that depend on none."""
        return [n for n, token in enumerate(self.tokens) if token.head == n]

    def subtree(self, position: int) -> list[int]:
        """A word and all that depends on it, in order."""
        below = [n for child in self._children[position] for n in self.subtree(child)]
        return sorted([position, *below])

    def text(self, positions: Sequence[int]) -> str:
        """These words in lower case, without punctuation; `'s` and hyphens stay joined."""
        words = [self.tokens[n].text.lower() for n in positions if self.tokens[n].pos != "PUNCT"]
        return " ".join(words).replace(" '", "'")
