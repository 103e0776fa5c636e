"""`scenes`: compositional scenes over a vocabulary, sampled as graphs and put into words.

Balanced: object count, kind of relation and kind of attribute take turns. What is combined (an
attribute with an object, two objects with a relation, an object with a number) belongs to one split
by its hash, and a prompt holds combinations of its own split alone: none leaks into another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise, product
from typing import Any

import numpy as np

from invdpo.curate.prompts.base import PROMPT_SOURCES, Draft
from invdpo.curate.prompts.vocabulary import read_vocabulary
from invdpo.schemas import Item, Relation, SceneGraph
from invdpo.schemas.config import PromptsConfig
from invdpo.schemas.ids import content_id, derived_seed

SHARES = (("train", 80), ("validation", 90), ("heldout", 100))
"""Splits with the upper end of their share, in percent."""
PATIENCE = 5_000
"""Draws without a new prompt after which the vocabulary counts as exhausted."""
PER_TURN = 50
"""Draws without a new prompt after which the next form and kind take their turn."""
FORMS = ("alone", "two", "spatial", "activity", "counted", "three", "chain")
"""One object; two; two in a place or doing something; several of a kind; three; three in places."""


@PROMPT_SOURCES.register("scenes")
class ScenesSource:
    """Distinct prompts of one split. Raises `DataError` for a vocabulary that can't be used."""

    name = "scenes"

    def __init__(self, config: PromptsConfig) -> None:
        self._config = config
        self._words = read_vocabulary(config.vocabulary)
        self._all = self._words.sampling

    def fingerprint(self) -> dict[str, Any]:
        """Split, seed, number, and the words themselves."""
        return {
            "source": self.name,
            "num_prompts": self._config.num_prompts,
            "split": self._config.split,
            "seed": self._config.seed,
            "words": content_id(self._words.model_dump(mode="json", exclude={"synonyms"})),
        }

    def __call__(self) -> Iterator[Draft]:
        """Prompts until the split has no new ones."""
        rng = np.random.default_rng(derived_seed("scenes", self._config.split, self._config.seed))
        seen: set[str] = set()
        idle = turn = 0
        while idle < PATIENCE:
            draft = self._draw(rng, turn)
            new = draft is not None and str(draft.prompt) not in seen
            idle = 0 if new else idle + 1
            if new or idle % PER_TURN == 0:
                turn += 1
            if draft is not None and new:
                seen.add(str(draft.prompt))
                yield draft

    def _draw(self, rng: np.random.Generator, turn: int) -> Draft | None:
        """One scene of the form and attribute kind whose turn it is; None when it doesn't fit."""
        form = FORMS[turn % len(FORMS)]
        kinds = sorted(self._all.attributes)
        kind = kinds[turn // len(FORMS) % len(kinds)]
        count = {"alone": 1, "counted": 1, "three": 3, "chain": 3}.get(form, 2)
        items = [self._item(rng, kind, n, form) for n in range(count)]
        if None in items or len({item.label for item in items if item}) < count:
            return None
        some = [item for item in items if item is not None]
        if form == "counted":
            return self._counted(rng, some[0])
        names = self._predicates(rng, some, form)
        return None if names is None else self._written(some, names)

    def _item(self, rng: np.random.Generator, kind: str, number: int, form: str) -> Item | None:
        animate = form == "activity" and number == 0
        labels = self._all.animate if animate else self._all.things
        words = self._all.animate_attributes if animate else self._all.attributes[kind]
        choices = [
            (word, label)
            for word, label in product(words, labels)
            if _split("attribute", word, label) == self._config.split
        ]
        if not choices:
            return None
        word, label = choices[int(rng.integers(len(choices)))]
        return Item(item_id=number, label=label, attributes=(word,))

    def _predicates(
        self, rng: np.random.Generator, items: Sequence[Item], form: str
    ) -> list[str] | None:
        """One for each pair of neighbours, of this split; none where the form has no relation."""
        if form not in ("spatial", "activity", "chain"):
            return []
        known = self._all.activities if form == "activity" else self._all.spatial
        names = []
        for one, other in pairwise(items):
            fit = [name for name in known
                   if _split(name, one.label, other.label) == self._config.split]  # fmt: skip
            if not fit:
                return None
            names.append(fit[int(rng.integers(len(fit)))])
        return names

    def _counted(self, rng: np.random.Generator, item: Item) -> Draft | None:
        number = int(self._all.counts[int(rng.integers(len(self._all.counts)))])
        if _split("count", str(number), item.label) != self._config.split:
            return None
        word = next(w for w, n in self._words.numbers.items() if n == number)
        several = [item.model_copy(update={"item_id": n}) for n in range(number)]
        text = f"{word} {item.attributes[0]} {_plural(item.label)}"
        return Draft(text, SceneGraph(items=tuple(several)))

    def _written(self, items: Sequence[Item], names: Sequence[str]) -> Draft:
        """The prompt and the graph; `the` takes an object up again."""
        relations = tuple(
            Relation(item1=n, relation=name, item2=n + 1) for n, name in enumerate(names)
        )
        phrases = {n: some[0] for n, some in self._words.relations.items() if some}
        clauses = [
            f"{_named(items[n], again=n > 0)} {phrases.get(name, name)} {_named(items[n + 1])}"
            for n, name in enumerate(names)
        ]
        parts = clauses or [_named(item) for item in items]
        text = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 2 else parts)
        return Draft(text, SceneGraph(items=tuple(items), relations=relations))


@cache
def _split(*combination: str) -> str:
    """The split that a combination belongs to; relations count either way round."""
    kind, *ends = combination
    if kind not in ("attribute", "count"):
        ends = sorted(ends)
    digest = hashlib.sha256("\0".join([kind, *ends]).encode()).digest()
    place = int.from_bytes(digest[:4], "big") % 100
    return next(name for name, end in SHARES if place < end)


def _named(item: Item, *, again: bool = False) -> str:
    text = item.phrase
    article = "the" if again else "an" if text[0] in "aeiou" else "a"
    return f"{article} {text}"


def _plural(label: str) -> str:
    if label.endswith(("s", "x", "ch", "sh")):
        return f"{label}es"
    return f"{label}s"


