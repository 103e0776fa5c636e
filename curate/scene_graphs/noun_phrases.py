"""Noun phrases of an analysed sentence: what they name, how many, and what is said of them."""

from __future__ import annotations

from functools import cache

from invdpo.curate.scene_graphs.grammar import MAX_NAME_WORDS
from invdpo.curate.scene_graphs.lexicon import read_lexicon
from invdpo.curate.scene_graphs.sentences import Sentence
from invdpo.curate.scene_graphs.vocabulary import read_vocabulary

MAX_COUNT = 20
DETERMINED = ("det", "poss", "prep", "acl", "relcl", "conj")
"""What depends on a noun that is an object of its own."""
NOUNS = ("NOUN", "PROPN")
LOOKS = frozenset(
    {"texture", "color", "colour", "surface", "hue", "shade", "structure", "design", "form"}
)
"""The texture of a carpet is said of the carpet."""
DESCRIBED = ("det", "poss", "amod", "compound", "nmod", "nummod")
"""What depends on a noun that is more than part of a phrase such as `from scratch`."""
PRONOUNS = frozenset({"he", "she", "it", "they", "him", "her", "them", "who", "that", "which"})


@cache
def _attributes() -> frozenset[str]:
    groups = [*read_vocabulary().attributes.values(), *read_lexicon().attributes.values()]
    return frozenset(word for group in groups for word in group)


@cache
def place_names() -> dict[str, str]:
    """Phrase of a preposition -> the relation that it states."""
    relations = read_vocabulary().relations
    return {text: name for name, group in relations.items() for text in (*group, name)}


class NotUnderstood(Exception):
    """A part of the sentence is covered by no rule."""


class NounPhrases(Sentence):
    """A sentence whose nouns are asked for; every noun is given by its position."""

    def owner(self, noun: int) -> int | None:
        """The carpet in `the texture of the carpet`."""
        if self.tokens[noun].lemma.lower() not in LOOKS:
            return None
        of = [n for n in self.children(noun, "prep") if self.tokens[n].text == "of"]
        owners = [n for one in of for n in self.children(one, "pobj")]
        return owners[0] if owners else None

    def adjectives(self, noun: int) -> tuple[list[str], list[str]]:
        """The attributes before a noun, and the words that belong to its name."""
        words: list[str] = []
        names: list[str] = []
        named = False
        singular = self.tokens[noun].lemma.lower()
        for modifier in sorted(n for n in self._modifiers(noun) if n < noun):
            text = self.text(self.with_adverbs(modifier))
            rest = [self.tokens[n].text.lower() for n in range(modifier, noun)]
            named = named or " ".join([*rest, singular]) in read_lexicon().compounds
            (names if named or self._is_name(modifier, text) else words).append(text)
        if len(names) >= MAX_NAME_WORDS:
            raise NotUnderstood
        return words, names

    def _modifiers(self, noun: int) -> set[int]:
        """The words before a noun that describe it, or others of them: `toy drum set`."""
        modifiers: set[int] = set()
        for one in self.children(noun, "amod", "compound", "nmod"):
            modifiers |= {one, *self.joined(one)}
            if self.tokens[one].dep == "compound":
                modifiers |= self._modifiers(one)
        return modifiers

    def _is_name(self, modifier: int, text: str) -> bool:
        """Whether a word before a noun is part of its name rather than an attribute."""
        token, lexicon = self.tokens[modifier], read_lexicon()
        if text.endswith("ing"):
            stem = text.removesuffix("ing")
            doing = {stem, f"{stem}e", stem[:-1]} & lexicon.intransitive
            return text in lexicon.purposes or (token.dep == "compound" and not doing)
        if token.dep in ("amod", "conj") or text in _attributes():
            return False
        return token.pos in NOUNS or lexicon.is_part(text) or lexicon.is_thing(text)

    def joined(self, position: int) -> list[int]:
        """What is joined to a word by `and` or commas, and to that in turn."""
        joined = self.children(position, "conj", "amod")
        return [n for one in joined for n in (one, *self.joined(one))]

    def with_adverbs(self, word: int) -> list[int]:
        """The word with its adverbs: `dimly lit`."""
        adverbs = [n for n in self.children(word, "advmod", "npadvmod") if n < word]
        return [*adverbs, word]

    def count(self, noun: int) -> int:
        """How many there are: the number before the noun, or one."""
        numbers = self.children(noun, "nummod")
        if not numbers:
            return 1
        word = self.tokens[numbers[0]].text.lower()
        known = read_vocabulary().numbers | read_lexicon().numbers
        count = int(word) if word.isdecimal() and len(word) < 3 else known.get(word, 0)
        if not 0 < count <= MAX_COUNT:
            raise NotUnderstood
        return count

    def content(self, noun: int) -> str:
        """`coffee` of a cup of coffee, which is part of its name: nothing determines it."""
        for of in self.children(noun, "prep"):
            for content in self.children(of, "pobj") if self.tokens[of].text == "of" else ():
                if not self.children(content, *DETERMINED):
                    return self.text(self.subtree(content))
        return ""

    def is_thing(self, noun: int) -> bool:
        """Whether the noun names something that an image can show."""
        token, lexicon = self.tokens[noun], read_lexicon()
        word, text = token.lemma.lower(), token.text.lower()
        if token.pos not in NOUNS or {word, text} & {*read_vocabulary().no_objects}:
            return False
        content = self.content(noun)
        if word in lexicon.seen or f"{word} of {content}" in lexicon.seen:
            return True
        if {word, text} & lexicon.unseen or self._verb_of(noun) in lexicon.performing:
            return False
        if content and (word in lexicon.no_names or text in read_vocabulary().portions):
            return True
        if word in lexicon.groups_of_people or self._verb_of(noun) in lexicon.handling:
            return True
        return lexicon.is_thing(word) or lexicon.is_thing(text)

    def _verb_of(self, noun: int) -> str:
        """The verb of which the noun, or one that it is joined to, is the object."""
        while self.tokens[noun].dep == "conj" and self.tokens[self.tokens[noun].head].pos in NOUNS:
            noun = self.tokens[noun].head
        token = self.tokens[noun]
        return self.tokens[token.head].lemma if token.dep == "dobj" else ""

    def is_known(self, noun: int) -> bool:
        """Whether a noun or pronoun stands for an item."""
        word = self.tokens[noun].text.lower()
        if self._in_passing(noun):
            return False
        nouns = [noun, *self.children(noun, "conj")]
        return word in PRONOUNS or all(self.is_thing(self.owner(n) or n) for n in nouns)

    def _in_passing(self, noun: int) -> bool:
        """`from scratch`, `by hand`: nothing determines or describes the noun."""
        token = self.tokens[noun]
        return (
            token.dep == "pobj"
            and token.tag == "NN"
            and self.tokens[token.head].text in ("from", "by", "at", "to")
            and not self.children(noun, *DESCRIBED)
        )

    def is_manner(self, noun: int) -> bool:
        """`with ease`, which says how something is done, as an adverb does."""
        unseen = self.tokens[noun].lemma.lower() in read_lexicon().unseen
        return unseen or not (self.is_known(noun) or self.children(noun, "det", "poss"))

    def follows_comma(self, noun: int) -> bool:
        """Whether the noun phrase is a remark behind a comma: `…, a symbol of hope`."""
        first = self.subtree(noun)[0]
        return first > 0 and self.tokens[first - 1].text == ","

    def preposition(self, place: int) -> tuple[str, int]:
        """The words of a preposition and its noun: `on top of`, `next to`, `out of`."""
        nouns = self.children(place, "pobj")
        if not nouns:
            inner = self.children(place, "prep")
            if not inner:
                raise NotUnderstood
            text, noun = self.preposition(inner[0])
            return f"{self.tokens[place].text.lower()} {text}", noun
        noun = nouns[0]
        for of in self.children(noun, "prep"):
            phrase = self.text([place, *(n for n in self.subtree(noun) if n <= of)])
            if phrase in place_names() and (inner := self.children(of, "pobj")):
                return phrase, inner[0]
        return self.tokens[place].text.lower(), noun

    def words(self, noun: int) -> str:
        """The noun with all that depends on it, in words."""
        return self.text(self.subtree(noun))
