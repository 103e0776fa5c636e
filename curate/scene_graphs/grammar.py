"""Reads the scene graph off an English prompt by rules, or says that it can't.

Understood are noun phrases (`two red sports balls`) joined by `and` or commas, and clauses of two
noun phrases with a spatial relation or a plain activity between them. A prompt with anything else
in it has no graph: half a graph would call right pictures wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from invdpo.curate.scene_graphs.vocabulary import Vocabulary, read_vocabulary
from invdpo.schemas import Item, Relation, SceneGraph

REVISION = "2"
"""Raised whenever the same prompt would give another graph."""
LONGEST_NAME = 3
"""Words of an object's name."""
LONGEST_PROMPT = 2_000
"""Characters; longer texts are no descriptions of this form."""
_JOINT = re.compile(r"\s+and\s+|\s*[,;]\s*(?:and\s+)?")
_BE = r"(?:\s+(?:is|are|was|were))?"


class Phrase(NamedTuple):
    """One noun phrase."""

    article: str
    number: int
    attributes: tuple[str, ...]
    label: str


def parse(prompt: str) -> SceneGraph | None:
    """The graph of a prompt by our vocabulary; None when any part is not understood."""
    return _ours().parse(prompt)


@cache
def _ours() -> Grammar:
    return Grammar(read_vocabulary())


class Grammar:
    """The rules over one vocabulary."""

    def __init__(self, words: Vocabulary) -> None:
        self._words = words
        self._function_words = {*words.function_words}
        self._kinds = {word: kind for kind, group in words.attributes.items() for word in group}
        self._relations = {text: name for name, group in words.relations.items() for text in group}
        self._relations |= {text: text for text in words.activities}
        spatial = [text for group in words.relations.values() for text in group]
        between, doing = _either(spatial), _either(words.activities)
        stances, names = _either(words.stances), _either(words.ed_names)
        stance = rf"(?:\s+(?:{stances}|(?!(?:{names})\s)[a-z]{{3,}}ed))?(?!\s+with\s)"
        self._clause = re.compile(
            rf"(?P<one>.+?){_BE}(?:\s+(?P<does>{doing})|(?:{stance}|(?=\s+with\s))"
            rf"\s+(?P<where>{between}))\s+(?P<other>.+)"
        )
        words_of_kinds = _either(self._kinds)
        self._both = re.compile(rf"\b({words_of_kinds}) and ((?:{words_of_kinds}) [a-z])")

    def parse(self, prompt: str) -> SceneGraph | None:
        """The graph of a prompt, items in order of mention; None when a part is not understood."""
        if len(prompt) > LONGEST_PROMPT:
            return None
        items: list[Item] = []
        relations: list[Relation] = []
        for part in self._parts(prompt):
            match = self._clause.fullmatch(part)
            if match is None:
                if self._mention(part, items) is None:
                    return None
                continue
            one, other = (self._mention(match[name], items) for name in ("one", "other"))
            if one is None or other is None or len(other) != 1:
                return None
            name = self._relations[match["where"] or match["does"]]
            relations += [Relation(item1=each, relation=name, item2=other[0]) for each in one]
        return SceneGraph(items=tuple(items), relations=tuple(relations)) if items else None

    def _parts(self, prompt: str) -> Iterator[str]:
        text = " ".join(prompt.casefold().split()).rstrip(".! ")
        for opening in self._words.openings:
            text = text.removeprefix(f"{opening} ")
        text = self._both.sub(r"\1 \2", text)  # a black and white cat is one thing
        yield from _JOINT.split(text)

    def _mention(self, text: str, items: list[Item]) -> list[int] | None:
        """Ids of the items that a noun phrase names; new ones are added. None: not understood."""
        phrase = self.phrase(text)
        if phrase is None:
            return None
        if phrase.article == "the" and (known := _mentioned(phrase, items)) is not None:
            return [known]
        first = len(items)
        items.extend(
            Item(item_id=first + n, label=phrase.label, attributes=phrase.attributes)
            for n in range(phrase.number)
        )
        return list(range(first, first + phrase.number))

    def phrase(self, text: str) -> Phrase | None:
        """A noun phrase: article or number, adjectives, and a name of one to three words."""
        words = text.split()
        article, count = "", 1
        if words and words[0] in ("a", "an", "the"):
            article = words.pop(0)
        elif words and (number := self._number(words[0])) is not None:
            article, count = "number", number
            words.pop(0)
        words, rest = self._portion(words)
        # what stands before a known attribute is one, too: a sleek black car
        known = [n for n, word in enumerate(words[:-1]) if word in self._kinds]
        attributes = words[: known[-1] + 1] if known else []
        words = words[len(attributes) :]
        if not self._is_name(words) or not self._is_plain(attributes) or not 1 <= count <= 20:
            return None
        if attributes and not article and attributes[0] not in self._kinds:
            return None  # examining tiny things
        label = " ".join(words)
        if count > 1:
            if not self._plural(words):
                return None
            # glasses are one thing, glasses of milk are several
            label = " ".join([*words[:-1], self._one(words[-1])]) if rest else self.singular(label)
        elif not article and not attributes and (len(words) > 1 or label in self._kinds):
            return None  # a bare run of words may be anything
        return Phrase(article, count, tuple(attributes), f"{label}{rest}")

    def _portion(self, words: list[str]) -> tuple[list[str], str]:
        """The words before the `of` of a slice of pizza, and what follows them in its name."""
        if "of" not in words:
            return words, ""
        position = words.index("of")
        before, after = words[:position], words[position + 1 :]
        if not before or before[-1] not in self._words.portions or not self._is_name(after):
            return words, ""
        return before, f" of {' '.join(after)}"

    def _number(self, word: str) -> int | None:
        return int(word) if word.isdecimal() and len(word) < 3 else self._words.numbers.get(word)

    def _is_name(self, words: list[str]) -> bool:
        if not 0 < len(words) <= LONGEST_NAME or words[-1] in self._words.no_objects:
            return False
        doing = words[-1].removesuffix("s").endswith("ing")
        if doing and self.singular(words[-1]) not in self._words.ing_names:
            return False
        done = [word for word in words[1:] if word.endswith("ed")]
        colour = words[-1] in self._words.attributes.get("colour", ()) and words[-1] != "orange"
        return self._is_plain(words) and {*done} <= {*self._words.ed_names} and not colour

    def _is_plain(self, words: list[str]) -> bool:
        """Whether these are words, and none that only joins others."""
        plain = all(re.fullmatch(r"[a-zß-ÿ]+(?:['’-][a-zß-ÿ]+)*", word) for word in words)
        return plain and not self._function_words & {*words}

    def _plural(self, words: list[str]) -> bool:
        name = " ".join(words)
        known = {*self._words.unchanged, *self._words.plurals}
        return self.singular(name) != name or words[-1] in known

    def singular(self, name: str) -> str:
        """The name of one of several: `stop signs` to `stop sign`; `scissors` stay as they are."""
        *before, word = name.split()
        if name in self._words.unchanged:
            return name
        return " ".join([*before, self._one(word)])

    def _one(self, word: str) -> str:
        if word in self._words.plurals:
            return self._words.plurals[word]
        if not word.endswith("s") or word.endswith(("ss", "us")):
            return word
        if word.endswith("ies") and len(word) > 4:
            return f"{word[:-3]}y"
        if word.endswith(("ches", "shes", "sses", "xes", "zzes")):
            return word[:-2]
        return word[:-1]


def _either(texts: Iterable[str]) -> str:
    """A pattern that takes the longest of some texts that fits."""
    return "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))


def _mentioned(phrase: Phrase, items: list[Item]) -> int | None:
    """The one item that `the …` takes up again."""
    same = [
        item.item_id
        for item in items
        if item.label == phrase.label and {*phrase.attributes} <= {*item.attributes}
    ]
    return same[0] if len(same) == 1 else None
