"""Reads the scene graph of an English prompt by rules, or not at all.

Understood are noun phrases (`two red sports balls`) joined by `and` or commas, and clauses of two
noun phrases with a spatial relation or a plain activity between them. Names consist of known nouns
(`lexicon.py`), attributes are known adjectives. A prompt with anything else in it gets no graph: an
incomplete or a wrong one would call right images wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from invdpo.curate.scene_graphs.lexicon import read_lexicon
from invdpo.curate.scene_graphs.vocabulary import Vocabulary, read_vocabulary
from invdpo.schemas import Item, Relation, SceneGraph
from invdpo.schemas.ids import fold

REVISION = "4"
"""Raised whenever the same prompt would give another graph."""
MAX_NAME_WORDS = 3
"""Words of an object's name."""
MAX_PROMPT_CHARACTERS = 2_000
"""Characters; longer texts don't have this form."""
PAIRS = ("pair", "pairs")
"""Portions that are no part of a name: a pair of dogs are two dogs."""
_CONJUNCTION = re.compile(r"\s+and\s+|\s*[,;]\s*(?:and\s+)?")
_COPULA = r"(?:\s+(?:is|are|was|were))?"


class Phrase(NamedTuple):
    """One noun phrase."""

    article: str
    number: int
    attributes: tuple[str, ...]
    label: str


def parse(prompt: str) -> SceneGraph | None:
    """The graph of a prompt by our vocabulary; None if any part is not understood."""
    return _default_grammar().parse(prompt)


@cache
def _default_grammar() -> Grammar:
    return Grammar(read_vocabulary())


class Grammar:
    """The rules over one vocabulary."""

    def __init__(self, words: Vocabulary) -> None:
        self._words = words
        self._lexicon = read_lexicon()
        self._function_words = {*words.function_words}
        self._kinds = {word: kind for kind, group in words.attributes.items() for word in group}
        self._kinds |= {w: kind for kind, group in self._lexicon.attributes.items() for w in group}
        self._relations = {text: name for name, group in words.relations.items() for text in group}
        self._relations |= {text: text for text in words.activities}
        spatial = [text for group in words.relations.values() for text in group]
        positions, activities = _any_of(spatial), _any_of(words.activities)
        stances, names = _any_of(words.stances), _any_of(words.ed_names)
        stance = rf"(?:\s+(?:{stances}|(?!(?:{names})\s)[a-z]{{3,}}ed))?(?!\s+with\s)"
        self._clause = re.compile(
            rf"(?P<subject>.+?){_COPULA}(?:\s+(?P<activity>{activities})|(?:{stance}|(?=\s+with\s))"
            rf"\s+(?P<place>{positions}))\s+(?P<object>.+)"
        )
        self._numbers = words.numbers | self._lexicon.numbers
        count = rf"(?P<count>{_any_of(self._numbers)}|\d\d?)"
        self._group = re.compile(
            rf"(?:(?P<half>half(?: an?)?|an? half) (?=dozen )|(?:{count}|an?|the) )?"
            rf"(?P<group>{_any_of(self._lexicon.groups)}) (?P<rest>.+)"
        )
        attributes = _any_of(self._kinds)
        self._joined_attributes = re.compile(rf"\b({attributes}) and ((?:{attributes}) [a-z])")

    def parse(self, prompt: str) -> SceneGraph | None:
        """The graph of a prompt, items in order of mention; None if a part is not understood."""
        if len(prompt) > MAX_PROMPT_CHARACTERS:
            return None
        items: list[Item] = []
        relations: list[Relation] = []
        for part in self._parts(prompt):
            match = self._clause.fullmatch(part)
            if match is None:
                if self._mention(part, items) is None:
                    return None
                continue
            subjects, objects = (self._mention(match[end], items) for end in ("subject", "object"))
            if subjects is None or objects is None or len(objects) != 1:
                return None
            name = self._relations[match["place"] or match["activity"]]
            relations += [Relation(item1=n, relation=name, item2=objects[0]) for n in subjects]
        return SceneGraph(items=tuple(items), relations=tuple(relations)) if items else None

    def _parts(self, prompt: str) -> Iterator[str]:
        text = self._words.without_opening(fold(prompt).rstrip(".! "))
        text = self._joined_attributes.sub(r"\1 \2", text)  # a black and white cat is one thing
        yield from _CONJUNCTION.split(text)

    def _mention(self, text: str, items: list[Item]) -> list[int] | None:
        """Ids of the items that a noun phrase names; new ones are added. None: not understood."""
        phrase = self.phrase(text)
        if phrase is None:
            return None
        if phrase.article == "the" and (known := _find_mentioned(phrase, items)) is not None:
            return [known]
        first = len(items)
        items.extend(
            Item(item_id=first + n, label=phrase.label, attributes=phrase.attributes)
            for n in range(phrase.number)
        )
        return list(range(first, first + phrase.number))

    def phrase(self, text: str) -> Phrase | None:
        """A noun phrase: article or number, known adjectives, and a name of known nouns."""
        article, count, words = self._quantity(text)
        words, rest = self._portion(words)
        attributes = self._attributes(words)
        words = words[len(attributes) :]
        named = self._is_name(words) or (rest and len(words) == 1)
        if not named or not 0 < count <= 20:
            return None
        label = " ".join(words)
        if count > 1:
            if not self._is_plural(words):
                return None
            # glasses are one object, glasses of milk are several
            name = " ".join([*words[:-1], self._singular_word(words[-1])])
            label = name if rest else self.singular(label)
        elif not self._is_one(article, attributes, words):
            return None
        return Phrase(article, count, tuple(attributes), f"{label}{rest}")

    def _is_one(self, article: str, attributes: list[str], words: list[str]) -> bool:
        """Whether this is one object: neither a clause (the sun sets) nor several."""
        if len(words) == 1:
            return bool(article or attributes) or words[0] not in self._kinds
        if self._ends_in_compound(words):
            return True
        # a bare run of words may be anything
        verb = self._lexicon.is_verb(words[-1], self._singular_word(words[-1]))
        return bool(article or attributes) and not verb

    def _quantity(self, text: str) -> tuple[str, int, list[str]]:
        """The article that a noun phrase begins with, if any, its number, and the other words."""
        if match := self._group.fullmatch(text):
            each = self._lexicon.groups[match["group"]] // (2 if match["half"] else 1)
            words = match["rest"].split()
            if match["group"].startswith("pair") and words[-1] in self._words.unchanged:
                each = 1  # a pair of shoes is one thing, as shoes are
            return "number", each * (self._number(match["count"] or "one") or 0), words
        words = text.split()
        article, count = self._article(words)
        words = words[1:] if article else words
        if article and words[:1] == ["single"]:
            return "number", count, words[1:]
        return article, count, words

    def _article(self, words: list[str]) -> tuple[str, int]:
        """The article that a noun phrase begins with, if any, and its number of objects."""
        if words and words[0] in ("a", "an", "the"):
            return words[0], 1
        if words and (number := self._number(words[0])) is not None:
            return "number", number
        return "", 1

    def _attributes(self, words: list[str]) -> list[str]:
        """The known adjectives before a name; a `rubber band` begins the name."""
        known = 0
        while known < len(words) - 1 and words[known] in self._kinds:
            if self._compound(words[known:]):
                break
            known += 1
        return words[:known]

    def _portion(self, words: list[str]) -> tuple[list[str], str]:
        """The words before the `of` of a slice of pizza, and what follows them in its name.

        None follow where that has attributes, which would be lost: a bunch of yellow bananas.
        """
        if "of" not in words:
            return words, ""
        position = words.index("of")
        before, after = words[:position], words[position + 1 :]
        known = before and before[-1] in self._words.portions and before[-1] not in PAIRS
        if not known or self._attributes(after) or not self._is_name(after):
            return words, ""
        return before, f" of {' '.join(after)}"

    def _number(self, word: str) -> int | None:
        return int(word) if word.isdecimal() and len(word) < 3 else self._numbers.get(word)

    def _is_name(self, words: list[str]) -> bool:
        """Whether these are one to three words, all of which are known to be part of names."""
        if not 0 < len(words) <= MAX_NAME_WORDS or words[-1] in self._words.no_objects:
            return False
        if not self._is_plain(words):
            return False
        rest = words
        while rest:
            size = self._compound(rest)
            if not size and not self._is_noun(rest[0], last=len(rest) == 1, first=rest is words):
                return False
            rest = rest[max(size, 1) :]
        return True

    def _is_noun(self, word: str, *, last: bool, first: bool) -> bool:
        if not last:
            return self._lexicon.is_part(word) and word not in self._words.no_objects
        one = self._singular_word(word)
        in_ing = one.endswith("ing") and one not in self._words.ing_names
        in_ed = word.endswith("ed") and not first and word not in self._words.ed_names
        colour = word in self._words.attributes.get("colour", ()) and word != "orange"
        known = self._lexicon.is_thing(word) or self._lexicon.is_thing(one)
        return known and not (in_ing or in_ed or colour)

    def _compound(self, words: list[str]) -> int:
        """Words of the compound that these begin with, which may be several at the end."""
        one = [*words[:-1], self._singular_word(words[-1])] if words else []
        return self._lexicon.compound(words) or self._lexicon.compound(one)

    def _ends_in_compound(self, words: list[str]) -> bool:
        return any(self._compound(words[n:]) == len(words) - n for n in range(len(words)))

    def _is_plain(self, words: list[str]) -> bool:
        """Whether these are words of letters, and none is a function word."""
        plain = all(re.fullmatch(r"[a-zß-ÿ]+(?:['’-][a-zß-ÿ]+)*", word) for word in words)
        return plain and not self._function_words & {*words}

    def _is_plural(self, words: list[str]) -> bool:
        name = " ".join(words)
        known = {*self._words.unchanged, *self._words.plurals}
        return self.singular(name) != name or words[-1] in known

    def singular(self, name: str) -> str:
        """The name of one of several: `stop signs` to `stop sign`; `scissors` stay as they are."""
        *before, word = name.split()
        if name in self._words.unchanged:
            return name
        return " ".join([*before, self._singular_word(word)])

    def _singular_word(self, word: str) -> str:
        if word in self._words.plurals:
            return self._words.plurals[word]
        if not word.endswith("s") or word.endswith(("ss", "us")):
            return word
        if word.endswith("ies") and len(word) > 4:
            return f"{word[:-3]}y"
        if word.endswith(("ches", "shes", "sses", "xes", "zzes")):
            return word[:-2]
        return word[:-1]


def _any_of(texts: Iterable[str]) -> str:
    """A pattern that matches the longest of the texts that fits."""
    return "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))


def _find_mentioned(phrase: Phrase, items: list[Item]) -> int | None:
    """The one item that `the …` refers back to; None if there is none, or several."""
    same = [
        item.item_id
        for item in items
        if item.label == phrase.label and {*phrase.attributes} <= {*item.attributes}
    ]
    return same[0] if len(same) == 1 else None
