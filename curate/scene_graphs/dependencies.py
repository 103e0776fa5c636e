"""Reads the scene graph of an analysed English sentence by rules over its dependencies.

Nouns that can be seen are objects, adjectives attributes, prepositions and verbs between two
objects relations (`riding`, `looking at`). What a thing does without another one is an attribute
(`smiling`, `giving a speech`). A sentence with a part that no rule covers has no graph.
"""

from __future__ import annotations

from collections.abc import Sequence

from invdpo.curate.scene_graphs.lexicon import read_lexicon
from invdpo.curate.scene_graphs.mentions import Mentions
from invdpo.curate.scene_graphs.noun_phrases import (
    NOUNS,
    NotUnderstood,
    NounPhrases,
    place_names,
)
from invdpo.curate.scene_graphs.repairs import mend_nouns
from invdpo.curate.scene_graphs.sentences import Token
from invdpo.curate.scene_graphs.verbs import (
    FEELING,
    LEFT_OUT,
    MOVING,
    OF_THE_VERB,
    PLACING,
    STATIC,
    TALKING,
    WHERE,
    gerund,
)
from invdpo.curate.scene_graphs.vocabulary import read_vocabulary
from invdpo.schemas import Item, Relation, SceneGraph

REVISION = "2"
"""Raised whenever the same sentence would give another graph."""
MAX_PHRASE_WORDS = 8
"""Words of an attribute such as `giving a speech`; a longer one is rather a scene of its own."""
NEGATIONS = frozenset({"no", "not", "n't", "never", "neither", "nor", "without", "each", "every"})
SKIPPED = frozenset({"punct", "cc", "det", "aux", "auxpass", "mark", "advmod", "case", "predet"})


def read_sentence(tokens: Sequence[Token]) -> SceneGraph | None:
    """The graph, objects in the order in which the rules meet them; None if not understood."""
    try:
        return _Reading(NounPhrases(mend_nouns(tokens))).graph()
    except NotUnderstood:
        return None


class _Reading(Mentions):
    """One sentence while it is read."""

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

    def _clause(self, verb: int, subjects: Sequence[int]) -> None:
        """A verb with all that depends on it; without a subject of its own that of the clause."""
        token = self._token(verb)
        own = self._s.children(verb, "nsubj", "nsubjpass")
        if self._s.children(verb, "expl"):
            own = self._s.children(verb, "attr")
        acting = self._group(own[0], subjects) if own else list(subjects)
        if not acting or token.pos not in ("VERB", "AUX"):
            raise NotUnderstood
        handled = {*own, *self._verb(verb, acting)}
        for child in self._s.children(verb):
            if child in handled or self._token(child).dep in SKIPPED | {"prt", "expl"}:
                continue
            if self._token(child).dep not in ("conj", "advcl"):
                raise NotUnderstood
            self._clause(child, acting)

    def _is_passive(self, verb: int) -> bool:
        """Whether something is done to the subject: `chased by a dog`, but not `chased a cat`."""
        token = self._token(verb)
        if self._s.children(verb, "auxpass"):
            return True
        if token.lemma in read_lexicon().intransitive or self._s.children(verb, "dobj"):
            return False
        by = token.tag != "VBG" and bool(self._s.children(verb, "agent"))
        return by or (token.dep == "acl" and token.tag == "VBN")

    def _verb(self, verb: int, acting: list[int]) -> list[int]:
        """States what a verb says of its subjects; the words that this covers."""
        token = self._token(verb)
        complements = self._complements(verb)
        if token.lemma in FEELING and complements:
            for one in complements:
                for n in (one, *self._s.joined(one)):
                    self._add_words(acting, [self._s.text(self._s.with_adverbs(n))])
            return [*complements, *self._places_of(verb, acting, acting, "")]
        if self._s.children(verb, "xcomp", "ccomp", "dative", "pcomp") or complements:
            return self._phrase(verb, acting)
        if token.lemma == "be" and not self._s.children(verb, "auxpass"):
            return self._copula(verb, acting)
        name = " ".join([gerund(token), *self._particles(verb)])
        if self._is_passive(verb):
            return self._passive(verb, acting, name)
        objects = self._s.children(verb, "dobj")
        if not objects:
            return self._places_of(verb, acting, acting, name)
        if self._s.follows_comma(objects[0]):
            raise NotUnderstood
        if not self._s.is_known(objects[0]):
            return self._unseen(verb, acting, objects[0])
        targets = self._group(objects[0], acting)
        self._relate(acting, name, targets)
        return [*objects, *self._places_of(verb, acting, targets, "")]

    def _complements(self, verb: int) -> list[int]:
        """Adjectives that a verb gives its subject: `feeling happy`, `stood tall`."""
        stated = self._s.children(verb, "acomp", "oprd")
        taken = [n for n in self._s.children(verb, "advcl") if self._token(n).pos == "ADJ"]
        return [n for n in (*stated, *taken) if not self._s.children(n, "prep")]

    def _copula(self, verb: int, acting: list[int]) -> list[int]:
        """`is` with a place; what a thing is, rather than where, shows nothing."""
        attribute = self._s.children(verb, "attr")
        if any(self._s.is_thing(n) for n in attribute) and not self._s.children(verb, "expl"):
            raise NotUnderstood
        if any(not self._s.children(n, "det") for n in attribute):
            raise NotUnderstood  # `is scuba diving`, taken for a noun
        return [*attribute, *self._places_of(verb, acting, acting, "")]

    def _passive(self, verb: int, acted: list[int], name: str) -> list[int]:
        agents = self._s.children(verb, "agent")
        for agent in agents:
            for noun in self._s.children(agent, "pobj"):
                self._relate(self._group(noun, acted), name, acted)
        participle = "" if agents else self._token(verb).text.lower()
        return [*agents, *self._places_of(verb, acted, acted, participle)]

    def _particles(self, verb: int) -> list[str]:
        particles = [n for n in self._s.children(verb, "prt") if not self._s.children(n, "pobj")]
        return [self._token(n).text.lower() for n in particles]

    def _unseen(self, verb: int, acting: list[int], noun: int) -> list[int]:
        """A verb whose object no image shows: both are an attribute, a place is a relation."""
        places = [*self._s.children(verb, "prep"), *self._s.children(noun, "prep")]
        idiom = self._token(noun).pos == "PRON"  # losing themselves in a book
        places = [n for n in places if not idiom and self._is_where(n)]
        handled = self._phrase(verb, acting, places)
        for place in places:
            text, thing = self._s.preposition(place)
            name = place_names().get(text, text)
            if self._token(thing).lemma in read_lexicon().played_on:
                name = f"{gerund(self._token(verb))} {text}"
            self._relate(acting, name, self._group(thing, acting))
        return [*handled, *places]

    def _is_where(self, place: int) -> bool:
        text, noun = self._s.preposition(place)
        return place_names().get(text, text) in WHERE and self._s.is_known(noun)

    def _places_of(self, verb: int, acting: list[int], targets: list[int], name: str) -> list[int]:
        """The prepositions of a verb; with a `name` they are what its subject does."""
        token = self._token(verb)
        adverbs = self._s.children(verb, "advmod", "acomp", "prt")
        adverbs = [n for n in adverbs if self._s.children(n, "prep", "pobj")]
        beside = [] if self._is_passive(verb) else self._s.children(verb, "agent")
        places = [*self._s.children(verb, "prep"), *beside, *adverbs]
        stated = False
        for place in places:
            text, noun = self._s.preposition(place)
            if text in LEFT_OUT or (text == "with" and self._s.is_manner(noun)):
                continue
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
            if name and (doing or self._is_how(verb, text, stated=stated)):
                predicate, stated = activity, True
            elif text == "for":
                predicate = f"{gerund(token)} for"
            self._relate(targets if moved else acting, predicate, self._group(noun, acting))
        still = bool(places) and token.lemma in STATIC and token.tag != "VBG"
        if name and not stated and not still:
            self._add_words(acting, [name])
        return places

    def _is_how(self, verb: int, text: str, *, stated: bool) -> bool:
        """Whether a preposition belongs to the verb before it rather than states a place."""
        lemma = self._token(verb).lemma
        if text in OF_THE_VERB or lemma in TALKING or self._particles(verb):
            return True
        if lemma in read_lexicon().prepositional.get(text, ()):
            return True
        return text not in place_names() and not (stated and text == "at")

    def _relate_noun(self, items: list[int], preposition: int, subjects: Sequence[int]) -> None:
        """A preposition behind a noun."""
        text, noun = self._s.preposition(preposition)
        if text in LEFT_OUT or (text == "with" and self._s.is_manner(noun)):
            return
        if self._s.is_known(noun) and text != "for":
            self._relate(items, place_names().get(text, text), self._group(noun, subjects))
        else:
            self._add_words(items, [self._short(f"{text} {self._s.words(noun)}")])

    def _phrase(self, verb: int, acting: list[int], without: Sequence[int] = ()) -> list[int]:
        """The verb and its complements in words, as an attribute."""
        if self._token(verb).lemma == "be":
            raise NotUnderstood
        apart = [
            n
            for n in self._s.children(verb)
            if self._token(n).dep
            in ("nsubj", "nsubjpass", "conj", "advcl", "cc", "punct", "aux", "advmod", "mark")
        ]
        skipped = {n for one in (*apart, *without) for n in self._s.subtree(one)} | {verb}
        if any(
            self._token(n).tag == "VBG" and self._token(n).dep == "conj"
            for n in self._s.subtree(verb)
            if n not in skipped
        ):
            raise NotUnderstood  # two activities in one
        words = [n for n in self._s.subtree(verb) if n not in skipped]
        comma = any(self._token(n).text == "," for n in words)
        if comma or any(self._token(n).dep == "cc" for n in words[-1:]):
            raise NotUnderstood  # a remark, or half an enumeration
        name = gerund(self._token(verb))
        self._add_words(acting, [self._short(f"{name} {self._s.text(words)}".strip())])
        return [n for n in self._s.children(verb) if n not in apart]

    def _short(self, phrase: str) -> str:
        if len(phrase.split()) > MAX_PHRASE_WORDS:
            raise NotUnderstood
        return phrase
