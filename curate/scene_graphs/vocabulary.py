"""The words of prompts, read from YAML: ours (`words.yaml`) or a user's own file of that form."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from invdpo.curate.storage.object_store import content
from invdpo.curate.storage.urls import to_path
from invdpo.schemas import DataError, SceneGraph
from invdpo.schemas.io.redact import without_secrets

if TYPE_CHECKING:
    pass


OURS = Path(__file__).with_name("words.yaml")

Words = Annotated[tuple[str, ...], Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sampling(_Part):
    """What prompts are sampled from."""

    animate: Words
    animate_attributes: Words
    """Adjectives that suit them, of whatever kind."""
    things: Words
    attributes: dict[str, Words]
    """Kind -> adjectives."""
    spatial: Words
    """Predicates, which must stand among the relations."""
    activities: Words
    """What animate objects do to things."""
    counts: Annotated[tuple[Annotated[int, Field(ge=2, le=10)], ...], Field(min_length=1)]


class Vocabulary(_Part):
    """All words, as `words.yaml` lays them out."""

    attributes: dict[str, Words]
    synonyms: tuple[Words, ...] = ()
    """Attributes that mean the same; none of them stands against another."""
    numbers: dict[str, int]
    plurals: dict[str, str]
    unchanged: tuple[str, ...]
    function_words: tuple[str, ...]
    openings: tuple[str, ...]
    portions: tuple[str, ...] = ()
    """What there can be of something: a slice of pizza is one object."""
    ing_names: tuple[str, ...] = ()
    """Names that look like verbs; others that end so are none."""
    no_objects: tuple[str, ...] = ()
    """Names of places in a picture, moods and the like: nothing that stands there."""
    stances: tuple[str, ...] = ()
    """Verbs that may stand before a relation and add nothing to it; those in -ed do anyway."""
    ed_names: tuple[str, ...] = ()
    """Names that look like verbs in -ed."""
    relations: dict[str, tuple[str, ...]]
    activities: tuple[str, ...]
    sampling: Sampling


def read_vocabulary(path: str | None = None) -> Vocabulary:
    """Our words, or those of a file. Raises `DataError` that names the file and the key."""
    return _read(to_path(path) if path else OURS)


@cache
def _read(path: Path) -> Vocabulary:
    try:
        loaded = yaml.safe_load(content(path).decode("utf-8"))
        made = Vocabulary.model_validate(loaded)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        first = without_secrets(str(error)).splitlines()[0]
        raise DataError(f"{path}: can't be read as a vocabulary: {first}.") from None
    except ValidationError as error:
        first_one = error.errors()[0]
        key = ".".join(str(part) for part in first_one["loc"]) or "the file"
        raise DataError(f"{path}: {key}: {first_one['msg']}. See {OURS.name}.") from None
    unknown = [name for name in made.sampling.spatial if not made.relations.get(name)]
    if unknown:
        raise DataError(f"{path}: sampling.spatial: {unknown[0]!r} has no phrase in `relations`.")
    return made


class AttributeChoice(NamedTuple):
    """A question about one thing: which of these words suits it."""

    label: str
    words: tuple[str, ...]


class Alternatives:
    """The words of a vocabulary by kind, as far as `kinds` names it. Raises `DataError`."""

    def __init__(self, path: str | None, kinds: Iterable[str]) -> None:
        self.words: Vocabulary = read_vocabulary(path)
        wanted = {*kinds}
        self._kind = {
            word: kind
            for kind, group in self.words.attributes.items()
            for word in group
            if kind in wanted
        }

    def choices(self, graph: SceneGraph) -> dict[str, list[AttributeChoice]]:
        """Label -> what can be asked of things of that name, by what the prompt says of them."""
        said: dict[str, dict[str, set[str]]] = {}
        for item in graph.items:
            for word in item.attributes:
                if kind := self._kind.get(_folded(word)):
                    said.setdefault(item.label, {}).setdefault(kind, set()).add(word)
        return {
            label: [
                AttributeChoice(label, self._against(kind, words)) for kind, words in kinds.items()
            ]
            for label, kinds in said.items()
        }

    def unknown(self, graph: SceneGraph) -> list[str]:
        """The attributes of a graph that are of no kind that is judged."""
        words = dict.fromkeys(word for item in graph.items for word in item.attributes)
        return [word for word in words if _folded(word) not in self._kind]

    def _against(self, kind: str, said: set[str]) -> tuple[str, ...]:
        """The prompt's own words, and all others of their kind that don't mean the same."""
        plain = {_folded(word) for word in said}
        same = {
            word for synonyms in self.words.synonyms if plain & {*synonyms} for word in synonyms
        }
        alternatives = [word for word in self.words.attributes[kind] if word not in plain | same]
        return (*sorted(said), *alternatives)


def _folded(word: str) -> str:
    return " ".join(word.casefold().split())
