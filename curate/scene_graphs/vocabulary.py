"""The words of prompts, read from YAML: ours (`words.yaml`) or a user's own file of that form.

`Alternatives` sorts the attributes by kind, for annotators that choose among those of one kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple
from unicodedata import normalize

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from invdpo.curate.storage.object_store import content
from invdpo.curate.storage.urls import to_path
from invdpo.schemas import DataError, SceneGraph
from invdpo.schemas.ids import fold
from invdpo.schemas.io.documents import read_yaml
from invdpo.schemas.io.files import os_reason
from invdpo.schemas.io.text import quote
from invdpo.schemas.io.text_files import decode_text

OURS = Path(__file__).with_name("words.yaml")
WordList = Annotated[tuple[str, ...], Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sampling(_Model):
    """What prompts are sampled from."""

    animate: WordList
    animate_attributes: WordList
    """Adjectives that suit them, of whatever kind."""
    things: WordList
    attributes: dict[str, WordList]
    """Kind -> adjectives."""
    spatial: WordList
    """Predicates, which must stand among the relations."""
    activities: WordList
    """What animate objects do to things."""
    counts: Annotated[tuple[Annotated[int, Field(ge=2, le=10)], ...], Field(min_length=1)]


class Vocabulary(_Model):
    """All words, in the form of `words.yaml`."""

    attributes: dict[str, WordList]
    synonyms: tuple[WordList, ...] = ()
    """Attributes that mean the same, so none of them is an alternative to another."""
    numbers: dict[str, int]
    plurals: dict[str, str]
    unchanged: tuple[str, ...]
    function_words: tuple[str, ...]
    openings: tuple[str, ...]
    portions: tuple[str, ...] = ()
    """Words such as `slice`: a slice of pizza is one object."""
    ing_names: tuple[str, ...] = ()
    """Names in -ing that look like verbs; other words in -ing are no names."""
    no_objects: tuple[str, ...] = ()
    """Nouns that name no object: parts of an image, moods and the like."""
    stances: tuple[str, ...] = ()
    """Verbs that may precede a relation and add nothing to it; all verbs in -ed do so."""
    ed_names: tuple[str, ...] = ()
    """Names that look like verbs in -ed."""
    relations: dict[str, tuple[str, ...]]
    activities: tuple[str, ...]
    sampling: Sampling

    def without_opening(self, prompt: str) -> str:
        """What an image is to show: of `a photo of a cat`, `a cat`."""
        for opening in self.openings:
            if prompt.lower().startswith(f"{opening} "):
                prompt = prompt[len(opening) + 1 :]
        return prompt


def read_vocabulary(path: str | None = None) -> Vocabulary:
    """Our words, or those of a file. Raises `DataError` that names the file and the key."""
    return _read(to_path(path) if path else OURS)


@cache
def _read(path: Path) -> Vocabulary:
    try:
        vocabulary = Vocabulary.model_validate(read_yaml(_text(path), path))
    except OSError as error:
        raise DataError(f"{path}: can't be read as a vocabulary: {os_reason(error)}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(f"{path}: {key}: {first['msg']}. See {OURS.name}.") from None
    unknown = [name for name in vocabulary.sampling.spatial if not vocabulary.relations.get(name)]
    if unknown:
        raise DataError(
            f"{path}: sampling.spatial: {quote(unknown[0])} has no phrase in `relations`."
        )
    return vocabulary


def _text(path: Path) -> str:
    return normalize("NFC", decode_text(content(path), path))


class AttributeChoice(NamedTuple):
    """A question about one object: which of these words describe it?"""

    label: str
    words: tuple[str, ...]
    take: int = 1
    """How many do: as many as the graph gives one such object, two of a black and white cat."""


class Alternatives:
    """The attributes of a vocabulary, of the given kinds. Raises `DataError`.

    Without `kinds`, of all kinds.
    """

    def __init__(self, path: str | None, kinds: Iterable[str] | None = None) -> None:
        self.words: Vocabulary = read_vocabulary(path)
        wanted = {*(self.words.attributes if kinds is None else kinds)}
        self._kind = {
            word: kind
            for kind, group in self.words.attributes.items()
            for word in group
            if kind in wanted
        }

    def choices(self, graph: SceneGraph) -> dict[str, list[AttributeChoice]]:
        """Label -> questions about objects of that name, one for each kind the graph mentions."""
        mentioned: dict[str, dict[str, list[set[str]]]] = {}
        for item in graph.items:
            for kind, words in self._by_kind(item.attributes).items():
                mentioned.setdefault(item.label, {}).setdefault(kind, []).append(words)
        return {
            label: [
                AttributeChoice(
                    label,
                    self._with_alternatives(kind, set().union(*of_items)),
                    max(map(len, of_items)),
                )
                for kind, of_items in kinds.items()
            ]
            for label, kinds in mentioned.items()
        }

    def _by_kind(self, words: Iterable[str]) -> dict[str, set[str]]:
        """Kind -> those of the words that are of it; without words of no kind."""
        kinds: dict[str, set[str]] = {}
        for word in words:
            if kind := self._kind.get(fold(word)):
                kinds.setdefault(kind, set()).add(word)
        return kinds

    def unknown(self, graph: SceneGraph) -> list[str]:
        """The attributes of a graph that are of none of the kinds."""
        words = dict.fromkeys(word for item in graph.items for word in item.attributes)
        return [word for word in words if fold(word) not in self._kind]

    def _with_alternatives(self, kind: str, mentioned: set[str]) -> tuple[str, ...]:
        """The graph's own words, and all others of their kind that don't mean the same."""
        folded = {fold(word) for word in mentioned}
        synonyms = {word for group in self.words.synonyms if folded & {*group} for word in group}
        others = [word for word in self.words.attributes[kind] if word not in folded | synonyms]
        return (*sorted(mentioned), *others)
