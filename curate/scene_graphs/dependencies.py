"""Reads the scene graph of an analysed English sentence by rules over its dependencies.

Nouns that can be seen are objects, adjectives attributes, prepositions and verbs between two
objects relations (`riding`, `looking at`). What a thing does without another one is an attribute
(`smiling`, `giving a speech`). A sentence with a part that no rule covers has no graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from invdpo.curate.scene_graphs.lexicon import read_lexicon
from invdpo.curate.scene_graphs.sentences import Sentence, Token, gerund
from invdpo.curate.scene_graphs.vocabulary import read_vocabulary
from invdpo.schemas import Item, Relation, SceneGraph

REVISION = "1"
"""Raised whenever the same sentence would give another graph."""
MAX_PHRASE_WORDS = 8
"""Words of an attribute such as `giving a speech`; a longer one is rather a scene of its own."""
MAX_COUNT = 20
NOUNS = ("NOUN", "PROPN")
NEGATIONS = frozenset({"no", "not", "n't", "never", "neither", "nor", "without", "each", "every"})
STATIC = frozenset("sit lie lay stand rest hang place locate position situate mount put be".split())
"""Verbs that add nothing to the place they state, unless they are in progress."""
PLACING = frozenset("put place set lay paint draw write hang pour spread hammer throw".split())
"""Verbs whose object is where the preposition says."""
MOVING = frozenset({"into", "onto", "across", "to", "over", "from", "off", "above", "out of"})
"""Prepositions that say of a verb's object where it goes, not of its subject."""
LOOKS = frozenset({"texture", "color", "colour", "surface", "hue", "shade"})
"""The texture of a carpet is said of the carpet."""
FEELING = frozenset({"be", "feel", "look", "seem", "appear", "become", "get", "stay", "remain"})
SKIPPED = frozenset({"punct", "cc", "det", "aux", "auxpass", "mark", "advmod", "case", "predet"})
PRONOUNS = frozenset({"he", "she", "it", "they", "him", "her", "them", "who", "that", "which"})


class _NotUnderstood(Exception):
    """A part of the sentence is covered by no rule."""


def read_sentence(tokens: Sequence[Token]) -> SceneGraph | None:
    """The graph, objects in the order in which the rules meet them; None if not understood."""
    try:
        return _Reading(Sentence(tokens)).graph()
    except _NotUnderstood:
        return None


@cache
def _attributes() -> frozenset[str]:
    groups = [*read_vocabulary().attributes.values(), *read_lexicon().attributes.values()]
    return frozenset(word for group in groups for word in group)


@cache
def _places() -> dict[str, str]:
    return {t: name for name, group in read_vocabulary().relations.items() for t in group}


class _Reading:
    """One sentence while it is read; items are known by their positions in `_items`."""

    def __init__(self, sentence: Sentence) -> None:
        self._s = sentence
        self._items: list[tuple[str, list[str]]] = []
        self._relations: list[tuple[int, str, int]] = []
        self._mentioned: dict[int, list[int]] = {}

    def graph(self) -> SceneGraph | None:
        if NEGATIONS & {token.text.lower() for token in self._s.tokens}:
            return None
        for root in self._s.roots():
            if self._token(root).pos in NOUNS:
                self._group(root)
            elif self._token(root).pos in ("VERB", "AUX"):
                self._clause(root, [])
            else:
                return None
        items = tuple(
            Item(item_id=n, label=label, attributes=tuple(dict.fromkeys(words)))
            for n, (label, words) in enumerate(self._items)
        )
        links = dict.fromkeys(self._relations)
        relations = tuple(Relation(item1=a, relation=r, item2=b) for a, r, b in links)
        return SceneGraph(items=items, relations=relations) if items else None

    def _token(self, position: int) -> Token:
        return self._s.tokens[position]

    # Noun phrases

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
            if token.text.lower() not in PRONOUNS or not subjects:
                raise _NotUnderstood
            return list(subjects)
        owner = self._owner(noun)
        if owner is not None:
            items = self._mention(owner, subjects)
            self._add_words(items, self._adjectives(noun)[0])
            self._mentioned[noun] = items
            return items
        if not self._is_thing(noun):
            raise _NotUnderstood
        self._mentioned[noun] = items = self._new(noun)
        for child in self._s.children(noun):
            self._modify(items, child, subjects)
        return items

    def _owner(self, noun: int) -> int | None:
        """The carpet in `the texture of the carpet`."""
        if self._token(noun).lemma.lower() not in LOOKS:
            return None
        of = [n for n in self._s.children(noun, "prep") if self._token(n).text == "of"]
        owners = [n for one in of for n in self._s.children(one, "pobj")]
        return owners[0] if owners else None

    def _new(self, noun: int) -> list[int]:
        token = self._token(noun)
        words, names = self._adjectives(noun)
        count = self._count(noun)
        plural = token.tag in ("NNS", "NNPS")
        last = token.lemma if plural and count > 1 else token.text
        label = " ".join([*names, last.lower()])
        if content := self._content(noun):
            label = f"{label} of {content}"
        determiners = {self._token(n).text.lower() for n in self._s.children(noun, "det")}
        if "the" in determiners:
            same = [n for n, (name, known) in enumerate(self._items)
                    if name == label and {*words} <= {*known}]
            if len(same) == 1:
                return same
        first = len(self._items)
        self._items += [(label, list(words)) for _ in range(count)]
        return list(range(first, first + count))

    def _adjectives(self, noun: int) -> tuple[list[str], list[str]]:
        """The attributes before a noun, and the words that belong to its name."""
        words: list[str] = []
        names: list[str] = []
        singular = self._token(noun).lemma.lower()
        modifiers = self._s.children(noun, "amod", "compound", "nmod")
        modifiers = [n for one in modifiers for n in (one, *self._joined(one)) if n < noun]
        for modifier in modifiers:
            text = self._s.text(self._with_adverbs(modifier))
            rest = [self._token(n).text.lower() for n in range(modifier, noun)]
            named = " ".join([*rest, singular]) in read_lexicon().compounds
            adjective = self._token(modifier).dep in ("amod", "conj") or text in _attributes()
            (words if adjective and not named else names).append(text)
        return words, names

    def _joined(self, position: int) -> list[int]:
        """What is joined to a word by `and` or commas, and to that in turn."""
        joined = self._s.children(position, "conj", "amod")
        return [n for one in joined for n in (one, *self._joined(one))]

    def _with_adverbs(self, word: int) -> list[int]:
        """The word with the parts of it: `dimly lit`, `web-like`."""
        skipped = {n for one in self._joined(word) for n in self._s.subtree(one)}
        skipped |= {*self._s.children(word, "cc", "punct")}
        if self._token(word).dep == "compound":
            return [n for n in self._s.subtree(word) if n not in skipped]
        adverbs = [n for n in self._s.children(word, "advmod", "npadvmod") if n < word]
        return [*adverbs, word]

    def _count(self, noun: int) -> int:
        numbers = self._s.children(noun, "nummod")
        if not numbers:
            return 1
        word = self._token(numbers[0]).text.lower()
        known = read_vocabulary().numbers | read_lexicon().numbers
        count = int(word) if word.isdecimal() and len(word) < 3 else known.get(word, 0)
        if not 0 < count <= MAX_COUNT:
            raise _NotUnderstood
        return count

    def _content(self, noun: int) -> str:
        """`coffee` of a cup of coffee, which is part of its name: nothing determines it."""
        for of in self._s.children(noun, "prep"):
            if self._token(of).text == "of" and (content := self._s.children(of, "pobj")):
                if not self._s.children(content[0], "det", "poss") and not self._s.children(
                    content[0], "prep", "acl", "relcl", "conj"
                ):
                    return self._s.text(self._s.subtree(content[0]))
        return ""

    def _modify(self, items: list[int], child: int, subjects: Sequence[int]) -> None:
        """What depends on a noun that is no part of its name."""
        token = self._token(child)
        if token.dep in SKIPPED | {"amod", "compound", "nmod", "nummod", "conj"}:
            return
        if token.dep == "poss":
            if token.pos != "PRON":
                self._relate(items, "of", self._group(child, subjects))
        elif token.dep == "prep":
            if not (token.text == "of" and self._content(token.head)):
                self._place(items, child, subjects or items)
        elif token.dep in ("acl", "relcl"):
            self._clause(child, items)
        elif token.dep != "appos" or any(
            self._is_thing(n) for n in self._s.subtree(child) if self._token(n).pos in NOUNS
        ):
            raise _NotUnderstood  # a remark such as `a natural wonder` shows nothing

    def _is_thing(self, noun: int) -> bool:
        token, lexicon = self._token(noun), read_lexicon()
        word, text = token.lemma.lower(), token.text.lower()
        if token.pos not in NOUNS or {word, text} & {*read_vocabulary().no_objects}:
            return False
        if self._content(noun) and word in ("group", "couple", "pair", "piece", "bunch", "display"):
            return True
        if word in lexicon.unseen:
            return False
        return word in lexicon.groups_of_people or lexicon.is_thing(word) or lexicon.is_thing(text)

    # Clauses

    def _clause(self, verb: int, subjects: Sequence[int]) -> None:
        """A verb with all that depends on it; without a subject of its own that of the clause."""
        token = self._token(verb)
        own = self._s.children(verb, "nsubj", "nsubjpass")
        if self._s.children(verb, "expl"):
            own = self._s.children(verb, "attr")
        acting = self._group(own[0], subjects) if own else list(subjects)
        if not acting or token.pos not in ("VERB", "AUX"):
            raise _NotUnderstood
        passive = bool(self._s.children(verb, "nsubjpass", "auxpass")) or (
            token.dep == "acl" and token.tag == "VBN"
        )
        handled = {*own, *self._verb(verb, acting, passive=passive)}
        for child in self._s.children(verb):
            if child in handled or self._token(child).dep in SKIPPED | {"prt", "expl"}:
                continue
            if self._token(child).dep not in ("conj", "advcl"):
                raise _NotUnderstood
            self._clause(child, acting)

    def _verb(self, verb: int, acting: list[int], *, passive: bool) -> list[int]:
        """States what a verb says of its subjects; the words that this covers."""
        token = self._token(verb)
        complements = self._s.children(verb, "acomp", "oprd")
        if token.lemma in FEELING and complements:
            for one in complements:
                self._add_words(acting, [self._token(n).text.lower() for n in (one, *self._joined(one))])
            return [*complements, *self._places_of(verb, acting, acting, "")]
        if self._s.children(verb, "xcomp", "ccomp", "dative", "pcomp", "acomp", "oprd"):
            return self._phrase(verb, acting)
        if token.lemma == "be" and not self._s.children(verb, "auxpass"):
            attribute = self._s.children(verb, "attr")
            if any(self._is_thing(n) for n in attribute) and not self._s.children(verb, "expl"):
                raise _NotUnderstood
            return [*attribute, *self._places_of(verb, acting, acting, "")]
        name = " ".join([gerund(token), *self._particles(verb)])
        if passive:
            return self._passive(verb, acting, name)
        objects = self._s.children(verb, "dobj")
        if not objects:
            return self._places_of(verb, acting, acting, name)
        if not self._is_known(objects[0]):
            return self._phrase(verb, acting)
        targets = self._group(objects[0], acting)
        self._relate(acting, name, targets)
        return [*objects, *self._places_of(verb, acting, targets, "")]

    def _passive(self, verb: int, acted: list[int], name: str) -> list[int]:
        agents = self._s.children(verb, "agent")
        for agent in agents:
            for noun in self._s.children(agent, "pobj"):
                self._relate(self._group(noun, acted), name, acted)
        places = self._places_of(verb, acted, acted, "")
        if not agents and not (places and self._token(verb).lemma in STATIC):
            self._add_words(acted, [self._token(verb).text.lower()])
        return [*agents, *places]

    def _is_known(self, noun: int) -> bool:
        """Whether a noun or pronoun stands for an item."""
        word = self._token(noun).text.lower()
        nouns = [noun, *self._s.children(noun, "conj")]
        return word in PRONOUNS or all(self._is_thing(self._owner(n) or n) for n in nouns)

    def _particles(self, verb: int) -> list[str]:
        return [self._token(n).text.lower() for n in self._s.children(verb, "prt")]

    def _places_of(
        self, verb: int, acting: list[int], targets: list[int], name: str
    ) -> list[int]:
        """The prepositions of a verb; with a `name` they are what its subject does."""
        token = self._token(verb)
        adverbs = [n for n in self._s.children(verb, "advmod") if self._s.children(n, "prep")]
        places = [*self._s.children(verb, "prep"), *adverbs]
        stated = False
        for place in places:
            text, noun = self._preposition(place)
            predicate = _places().get(text, text)
            activity = f"{name} {text}"
            if not self._is_known(noun):
                self._add_words(acting, [self._short(f"{name} {text} {self._words(noun)}".strip())])
                stated = True
                continue
            moved = targets is not acting and (text in MOVING or token.lemma in PLACING)
            if name and token.tag == "VBG" and activity in read_vocabulary().activities:
                predicate, stated = activity, True
            elif name and text not in _places():
                predicate, stated = activity, True
            self._relate(targets if moved else acting, predicate, self._group(noun, acting))
        still = bool(places) and token.lemma in STATIC and token.tag != "VBG"
        if name and not stated and not still:
            self._add_words(acting, [name])
        return places

    def _place(self, items: list[int], preposition: int, subjects: Sequence[int]) -> None:
        """A preposition behind a noun."""
        text, noun = self._preposition(preposition)
        if self._is_known(noun):
            self._relate(items, _places().get(text, text), self._group(noun, subjects))
        else:
            self._add_words(items, [self._short(f"{text} {self._words(noun)}")])

    def _preposition(self, place: int) -> tuple[str, int]:
        """The words of a preposition and its noun: `on top of`, `next to`, `out of`."""
        nouns = self._s.children(place, "pobj")
        if not nouns:
            inner = self._s.children(place, "prep")
            if not inner:
                raise _NotUnderstood
            text, noun = self._preposition(inner[0])
            return f"{self._token(place).text.lower()} {text}", noun
        noun = nouns[0]
        for of in self._s.children(noun, "prep"):
            phrase = self._s.text([place, *(n for n in self._s.subtree(noun) if n <= of)])
            if phrase in _places() and (inner := self._s.children(of, "pobj")):
                return phrase, inner[0]
        return self._token(place).text.lower(), noun

    def _phrase(self, verb: int, acting: list[int]) -> list[int]:
        """The verb and its complements in words, as an attribute."""
        apart = [n for n in self._s.children(verb) if self._token(n).dep in
                 ("nsubj", "nsubjpass", "conj", "advcl", "cc", "punct", "aux", "advmod", "mark")]
        skipped = {n for one in apart for n in self._s.subtree(one)} | {verb}
        words = [n for n in self._s.subtree(verb) if n not in skipped]
        name = gerund(self._token(verb))
        self._add_words(acting, [self._short(f"{name} {self._s.text(words)}".strip())])
        return [n for n in self._s.children(verb) if n not in apart]

    def _words(self, noun: int) -> str:
        return self._s.text(self._s.subtree(noun))

    def _short(self, phrase: str) -> str:
        if len(phrase.split()) > MAX_PHRASE_WORDS:
            raise _NotUnderstood
        return phrase

    def _relate(self, first: Sequence[int], name: str, second: Sequence[int]) -> None:
        self._relations += [(a, name, b) for a in first for b in second if a != b]

    def _add_words(self, items: Sequence[int], words: Sequence[str]) -> None:
        for item in items:
            self._items[item][1].extend(words)
