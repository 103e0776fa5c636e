"""`scenes`: compositional scenes over a vocabulary, sampled as graphs and put into words.

`scene_sampler` says how they are balanced, and how combinations of one split stay out of another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from invdpo.curate.prompts.base import PROMPT_SOURCES, Draft, PromptSource
from invdpo.curate.prompts.scene_sampler import SceneForm, SceneSampler, scene_form
from invdpo.curate.scene_graphs.vocabulary import read_vocabulary
from invdpo.schemas import Item, SceneGraph
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.ids import content_id, derived_seed

REVISION = "3"
"""Raised whenever the same words and seed would give other prompts."""
MAX_IDLE_DRAWS = 5_000
"""Draws without a new prompt after which the vocabulary counts as exhausted."""
IDLE_DRAWS_PER_FORM = 50
"""Draws without a new prompt after which the next form takes its turn."""
IDLE_DRAWS_PER_CHOICE = 10
"""Draws without a new prompt after which the next kind and predicate are preferred."""


@PROMPT_SOURCES.register("scenes")
class ScenesSource(PromptSource):
    """Distinct prompts of one split. Raises `DataError` for a vocabulary that can't be used."""

    name = "scenes"

    def __init__(self, config: PromptsConfig) -> None:
        self._config = config
        self._vocabulary = read_vocabulary(config.vocabulary)

    def fingerprint(self) -> dict[str, Any]:
        """Split, seed, number of prompts, and the words themselves."""
        words = self._vocabulary.model_dump(mode="json", exclude={"synonyms"})
        return {
            "source": f"{self.name} {REVISION}",
            "num_prompts": self._config.num_prompts,
            "split": self._config.split,
            "seed": self._config.seed,
            "words": content_id(words),
        }

    def __call__(self) -> Iterator[Draft]:
        """Prompts until the split has no new ones."""
        rng = np.random.default_rng(derived_seed("scenes", self._config.split, self._config.seed))
        sampler = SceneSampler(self._vocabulary.sampling, self._config.split, rng)
        seen: set[str] = set()
        idle = turn = 0
        while idle < MAX_IDLE_DRAWS:
            form = scene_form(turn)
            graph = sampler.sample(form, idle % IDLE_DRAWS_PER_FORM // IDLE_DRAWS_PER_CHOICE)
            text = self._text(graph, form) if graph is not None else ""
            is_new = graph is not None and text not in seen
            idle = 0 if is_new else idle + 1
            if is_new or idle % IDLE_DRAWS_PER_FORM == 0:
                turn += 1
            if graph is not None and is_new:
                seen.add(text)
                sampler.count_use(graph)
                yield Draft(text, graph)

    def _text(self, graph: SceneGraph, form: SceneForm) -> str:
        """The graph in words; an object that was mentioned before gets the article `the`."""
        items = graph.items
        if form.counted:
            word = next(w for w, n in self._vocabulary.numbers.items() if n == len(items))
            return f"{word} {items[0].attributes[0]} {_plural(items[0].label)}"
        phrases = {name: texts[0] for name, texts in self._vocabulary.relations.items() if texts}
        mentioned: set[int] = set()
        parts = [
            f"{_noun_phrase(items[r.item1], mentioned)} {phrases.get(r.relation, r.relation)} "
            f"{_noun_phrase(items[r.item2], mentioned)}"
            for r in graph.relations
        ] or [_noun_phrase(item, mentioned) for item in items]
        listed = not graph.relations and len(parts) > 2
        return " and ".join([", ".join(parts[:-1]), parts[-1]] if listed else parts)


def _noun_phrase(item: Item, mentioned: set[int]) -> str:
    """The item with its article; adds it to those `mentioned`."""
    phrase = item.phrase
    again = item.item_id in mentioned
    mentioned.add(item.item_id)
    article = "the" if again else "an" if phrase[0] in "aeiou" else "a"
    return f"{article} {phrase}"


def _plural(label: str) -> str:
    if label.endswith(("s", "x", "ch", "sh")):
        return f"{label}es"
    return f"{label}s"
