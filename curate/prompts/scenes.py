"""`scenes`: compositional scenes over a vocabulary, sampled as graphs and put into words.

`sampler` says how they are balanced, and what keeps combinations of one split out of another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from invdpo.curate.prompts.base import PROMPT_SOURCES, Draft
from invdpo.curate.prompts.scene_sampler import Form, SceneSampler, form
from invdpo.curate.scene_graphs.vocabulary import read_vocabulary
from invdpo.schemas import Item, SceneGraph
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.ids import content_id, derived_seed
from invdpo.schemas.io.text import Counts

REVISION = "3"
"""Raised whenever the same words and seed would give other prompts."""
PATIENCE = 5_000
"""Draws without a new prompt after which the vocabulary counts as exhausted."""
PER_TURN = 50
"""Draws without a new prompt after which the next form takes its turn."""
PER_CHOICE = 10
"""Draws without a new prompt after which the next kind and predicate are preferred."""


@PROMPT_SOURCES.register("scenes")
class ScenesSource:
    """Distinct prompts of one split. Raises `DataError` for a vocabulary that can't be used."""

    name = "scenes"

    def __init__(self, config: PromptsConfig) -> None:
        self._config = config
        self._words = read_vocabulary(config.vocabulary)

    def fingerprint(self) -> dict[str, Any]:
        """Split, seed, number, and the words themselves."""
        return {
            "source": f"{self.name} {REVISION}",
            "num_prompts": self._config.num_prompts,
            "split": self._config.split,
            "seed": self._config.seed,
            "words": content_id(self._words.model_dump(mode="json", exclude={"synonyms"})),
        }

    def counts(self) -> Counts:
        """No model is asked."""
        return {}

    def __call__(self) -> Iterator[Draft]:
        """Prompts until the split has no new ones."""
        rng = np.random.default_rng(derived_seed("scenes", self._config.split, self._config.seed))
        sampler = SceneSampler(self._words.sampling, self._config.split, rng)
        seen: set[str] = set()
        idle = turn = 0
        while idle < PATIENCE:
            graph = sampler.scene(form(turn), idle % PER_TURN // PER_CHOICE)
            text = self._text(graph, form(turn)) if graph is not None else ""
            new = graph is not None and text not in seen
            idle = 0 if new else idle + 1
            if new or idle % PER_TURN == 0:
                turn += 1
            if graph is not None and new:
                seen.add(text)
                sampler.used(graph)
                yield Draft(text, graph)

    def _text(self, graph: SceneGraph, made: Form) -> str:
        """The graph in words; `the` takes an object up again."""
        items = graph.items
        if made.counted:
            word = next(w for w, n in self._words.numbers.items() if n == len(items))
            return f"{word} {items[0].attributes[0]} {_plural(items[0].label)}"
        phrases = {
            name: alternatives[0]
            for name, alternatives in self._words.relations.items()
            if alternatives
        }
        mentioned: set[int] = set()
        parts = [
            f"{_named(items[r.item1], mentioned)} {phrases.get(r.relation, r.relation)} "
            f"{_named(items[r.item2], mentioned)}"
            for r in graph.relations
        ] or [_named(item, mentioned) for item in items]
        listed = not graph.relations and len(parts) > 2
        return " and ".join([", ".join(parts[:-1]), parts[-1]] if listed else parts)


def _named(item: Item, mentioned: set[int]) -> str:
    text = item.phrase
    again = item.item_id in mentioned
    mentioned.add(item.item_id)
    article = "the" if again else "an" if text[0] in "aeiou" else "a"
    return f"{article} {text}"


def _plural(label: str) -> str:
    if label.endswith(("s", "x", "ch", "sh")):
        return f"{label}es"
    return f"{label}s"
