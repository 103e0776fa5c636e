"""The words that names consist of: a prompt with other words in its names has no graph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from invdpo.curate.scene_graphs.vocabulary import WordList
from invdpo.schemas.io.documents import read_file, read_yaml

FOLDER = Path(__file__).parent


class Lexicon(BaseModel):
    """The lists of `lexicon.yaml`, and the nouns of `nouns.txt` by what they may be in a name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attributes: dict[str, WordList]
    """Adjectives, by kind, that annotators have no alternatives for."""
    compounds: frozenset[str]
    """Names of several words that are not a run of nouns."""
    names: frozenset[str]
    """Things beside the nouns."""
    forms: frozenset[str]
    """Things that say of another what form it has, where they stand before it."""
    numbers: dict[str, int]
    """Numbers beside those of `words.yaml`."""
    groups: dict[str, int]
    """Quantities such as `pair of`, with their numbers of objects."""
    no_names: frozenset[str]
    """Nouns that name nothing that can be looked for."""
    unseen: frozenset[str]
    """Nouns beside those that no image shows; the rules over dependencies alone ask for them."""
    seen: frozenset[str]
    """Nouns beside the things that these rules take for things as well."""
    groups_of_people: frozenset[str]
    """Nouns that name several people at once."""
    purposes: frozenset[str]
    """Words in -ing that say of a thing what it is for, and so belong to its name."""
    intransitive: frozenset[str]
    """Verbs without an object: their past is never a passive participle."""
    handling: frozenset[str]
    """Verbs whose objects are things, whatever they are called."""
    performing: frozenset[str]
    """Verbs whose objects are no things but what is done."""
    prepositional: dict[str, frozenset[str]]
    """Preposition -> verbs that it belongs to: `typing on` states no place."""
    played_on: frozenset[str]
    """Things on which one watches or plays something without being on them."""
    past: frozenset[str]
    """Nouns that are verbs as well, in the past."""
    nouns: dict[str, str]
    """Noun -> `thing`, or what else `nouns.txt` says of it."""

    def is_thing(self, word: str) -> bool:
        """Whether a singular word names something that can be seen."""
        return word in self.names or (
            self.nouns.get(word, "part") != "part" and word not in self.no_names
        )

    def is_part(self, word: str) -> bool:
        """Whether the word may stand before a name, as in `birthday cake`."""
        if word in self.no_names or word in self.forms or word.endswith("ing"):
            return False
        return word in self.names or self.nouns.get(word, "last") != "last"

    def compound(self, words: Sequence[str]) -> int:
        """The number of words of the longest compound that they begin with; 0 for none."""
        return next((n for n in (3, 2, 1) if " ".join(words[:n]) in self.compounds), 0)

    def is_verb(self, word: str, singular: str) -> bool:
        """Whether a word behind another noun is rather what that does: `the sun sets`."""
        return word in self.past or (word != singular and self.nouns.get(singular) == "verb")


@cache
def read_lexicon() -> Lexicon:
    """The words of the package."""
    lines = (FOLDER / "nouns.txt").read_text(encoding="utf-8").splitlines()
    marked = (line.split() for line in lines if not line.startswith("#"))
    nouns = {word: mark[0] if mark else "thing" for word, *mark in marked}
    lists = read_yaml(read_file(FOLDER / "lexicon.yaml"), "lexicon.yaml")
    return Lexicon(nouns=nouns, **lists)
