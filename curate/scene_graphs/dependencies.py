"""Reads the scene graph of an analysed English sentence by rules over its dependencies.

Nouns that can be seen are objects, adjectives attributes, prepositions and verbs between two
objects relations (`riding`, `looking at`). What a thing does without another one is an attribute
(`smiling`, `giving a speech`). A sentence with a part that no rule covers has no graph.
"""

from __future__ import annotations

from collections.abc import Sequence

from invdpo.curate.scene_graphs.noun_phrases import (
    NOUNS,
    PRONOUNS,
    NotUnderstood,
    NounPhrases,
    place_names,
)
from invdpo.curate.scene_graphs.sentences import Token
from invdpo.curate.scene_graphs.verbs import (
    FEELING,
    MOVING,
    NEVER_PASSIVE,
    OF_THE_VERB,
    PLACING,
    STATIC,
    TALKING,
    gerund,
)
from invdpo.curate.scene_graphs.vocabulary import read_vocabulary
from invdpo.schemas import Item, Relation, SceneGraph

REVISION = "1"
"""Raised whenever the same sentence would give another graph."""
MAX_PHRASE_WORDS = 8
"""Words of an attribute such as `giving a speech`; a longer one is rather a scene of its own."""
NEGATIONS = frozenset({"no", "not", "n't", "never", "neither", "nor", "without", "each", "every"})
SKIPPED = frozenset({"punct", "cc", "det", "aux", "auxpass", "mark", "advmod", "case", "predet"})


def read_sentence(tokens: Sequence[Token]) -> SceneGraph | None:
    """The graph, objects in the order in which the rules meet them; None if not understood."""
    try:
        return _Reading(NounPhrases(tokens)).graph()
    except NotUnderstood:
        return None


class _Reading:
    """One sentence while it is read; items are known by their positions in `_items`."""

    def __init__(self, sentence: NounPhrases) -> None:
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
        several = {n for n, (label, _) in enumerate(self._items) if label.endswith("s")}
        if word == "they" and several.difference(subjects) and not several & {*subjects}:
            raise NotUnderstood  # more likely those than the subject
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
        token = self._token(child)
        if token.dep in SKIPPED | {"amod", "compound", "nmod", "nummod", "conj"}:
            return
        if token.dep == "poss":
            if token.pos != "PRON":
                self._relate(items, "of", self._group(child, subjects))
        elif token.dep == "prep":
            if not (token.text == "of" and self._s.content(token.head)):
                self._relate_noun(items, child, subjects or items)
        elif token.dep in ("acl", "relcl"):
            self._clause(child, items)
        elif token.dep != "appos" or any(
            self._s.is_thing(n) for n in self._s.subtree(child) if self._token(n).pos in NOUNS
        ):
            raise NotUnderstood  # a remark such as `a natural wonder` shows nothing

    # Clauses

    def _clause(self, verb: int, subjects: Sequence[int]) -> None:
        """A verb with all that depends on it; without a subject of its own that of the clause."""
        token = self._token(verb)
        own = self._s.children(verb, "nsubj", "nsubjpass")
        if self._s.children(verb, "expl"):
            own = self._s.children(verb, "attr")
        acting = self._group(own[0], subjects) if own else list(subjects)
        if not acting or token.pos not in ("VERB", "AUX"):
            raise NotUnderstood
        passive = bool(self._s.children(verb, "auxpass", "agent")) or (
            token.dep == "acl" and token.tag == "VBN"
        )
        handled = {*own, *self._verb(verb, acting, passive=passive)}
        for child in self._s.children(verb):
            if child in handled or self._token(child).dep in SKIPPED | {"prt", "expl"}:
                continue
            if self._token(child).dep not in ("conj", "advcl"):
                raise NotUnderstood
            self._clause(child, acting)

    def _verb(self, verb: int, acting: list[int], *, passive: bool) -> list[int]:
        """States what a verb says of its subjects; the words that this covers."""
        token = self._token(verb)
        complements = self._s.children(verb, "acomp", "oprd")
        complements = [n for n in complements if not self._s.children(n, "prep")]
        if token.lemma in FEELING and complements:
            for one in complements:
                self._add_words(
                    acting, [self._token(n).text.lower() for n in (one, *self._s.joined(one))]
                )
            return [*complements, *self._places_of(verb, acting, acting, "")]
        if self._s.children(verb, "xcomp", "ccomp", "dative", "pcomp") or complements:
            return self._phrase(verb, acting)
        if token.lemma == "be" and not self._s.children(verb, "auxpass"):
            attribute = self._s.children(verb, "attr")
            if any(self._s.is_thing(n) for n in attribute) and not self._s.children(verb, "expl"):
                raise NotUnderstood
            if any(not self._s.children(n, "det") for n in attribute):
                raise NotUnderstood  # `is scuba diving`, taken for a noun
            return [*attribute, *self._places_of(verb, acting, acting, "")]
        name = " ".join([gerund(token), *self._particles(verb)])
        if passive and token.lemma not in NEVER_PASSIVE:
            return self._passive(verb, acting, name)
        objects = self._s.children(verb, "dobj")
        if not objects:
            return self._places_of(verb, acting, acting, name)
        if not self._s.is_known(objects[0]):
            return self._phrase(verb, acting)
        targets = self._group(objects[0], acting)
        self._relate(acting, name, targets)
        return [*objects, *self._places_of(verb, acting, targets, "")]

    def _passive(self, verb: int, acted: list[int], name: str) -> list[int]:
        agents = self._s.children(verb, "agent")
        for agent in agents:
            for noun in self._s.children(agent, "pobj"):
                self._relate(self._group(noun, acted), name, acted)
        participle = "" if agents else self._token(verb).text.lower()
        return [*agents, *self._places_of(verb, acted, acted, participle)]

    def _particles(self, verb: int) -> list[str]:
        return [self._token(n).text.lower() for n in self._s.children(verb, "prt")]

    def _places_of(self, verb: int, acting: list[int], targets: list[int], name: str) -> list[int]:
        """The prepositions of a verb; with a `name` they are what its subject does."""
        token = self._token(verb)
        adverbs = self._s.children(verb, "advmod", "acomp")
        adverbs = [n for n in adverbs if self._s.children(n, "prep")]
        places = [*self._s.children(verb, "prep"), *adverbs]
        stated = False
        for place in places:
            text, noun = self._s.preposition(place)
            predicate = place_names().get(text, text)
            activity = f"{name} {text}"
            if not self._s.is_known(noun):
                self._add_words(
                    acting, [self._short(f"{name} {text} {self._s.words(noun)}".strip())]
                )
                stated = True
                continue
            far = self._token(noun).lemma == "sky"
            moved = targets is not acting and (far or text in MOVING or token.lemma in PLACING)
            doing = token.tag == "VBG" and activity in read_vocabulary().activities
            how = text not in place_names() or text in OF_THE_VERB or token.lemma in TALKING
            if name and (doing or how):
                predicate, stated = activity, True
            self._relate(targets if moved else acting, predicate, self._group(noun, acting))
        still = bool(places) and token.lemma in STATIC and token.tag != "VBG"
        if name and not stated and not still:
            self._add_words(acting, [name])
        return places

    def _relate_noun(self, items: list[int], preposition: int, subjects: Sequence[int]) -> None:
        """A preposition behind a noun."""
        text, noun = self._s.preposition(preposition)
        if self._s.is_known(noun):
            self._relate(items, place_names().get(text, text), self._group(noun, subjects))
        else:
            self._add_words(items, [self._short(f"{text} {self._s.words(noun)}")])

    def _phrase(self, verb: int, acting: list[int]) -> list[int]:
        """The verb and its complements in words, as an attribute."""
        apart = [
            n
            for n in self._s.children(verb)
            if self._token(n).dep
            in ("nsubj", "nsubjpass", "conj", "advcl", "cc", "punct", "aux", "advmod", "mark")
        ]
        skipped = {n for one in apart for n in self._s.subtree(one)} | {verb}
        if any(
            self._token(n).tag == "VBG" and self._token(n).dep == "conj"
            for n in self._s.subtree(verb)
            if n not in skipped
        ):
            raise NotUnderstood  # two activities in one
        words = [n for n in self._s.subtree(verb) if n not in skipped]
        name = gerund(self._token(verb))
        self._add_words(acting, [self._short(f"{name} {self._s.text(words)}".strip())])
        return [n for n in self._s.children(verb) if n not in apart]

    def _short(self, phrase: str) -> str:
        if len(phrase.split()) > MAX_PHRASE_WORDS:
            raise NotUnderstood
        return phrase

    def _relate(self, first: Sequence[int], name: str, second: Sequence[int]) -> None:
        self._relations += [(a, name, b) for a in first for b in second if a != b]

    def _add_words(self, items: Sequence[int], words: Sequence[str]) -> None:
        for item in items:
            self._items[item][1].extend(words)
