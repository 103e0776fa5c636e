"""The scene graph: objects with attributes, and relations between them, in LAION-SG's form.

Intended graphs (what a prompt asks for) and observed graphs (what an annotator saw) share this
one type. Every field of a LAION-SG record survives a round trip, unknown ones included. A relation
that can be put both ways (A left of B, B right of A) is one fact, compared in one direction.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any
from unicodedata import normalize

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from invdpo.schemas.errors import DataError

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 as fractions of width and height, 0..1, origin at the top left."""

Boxes = tuple[Box, ...]

Triple = tuple[str, str, str]
"""(subject label, predicate, object label)."""


def _composed(word: str) -> str:
    return normalize("NFC", word)


Word = Annotated[str, AfterValidator(_composed)]
"""In Unicode's composed form, by which equal words are equal whoever wrote them."""


class _Model(BaseModel):
    """Keeps fields it does not know, so that foreign records come back as they were."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    def to_dict(self) -> dict[str, Any]:
        """The fields that were given, in JSON's types; defaults that nobody set stay away."""
        return self.model_dump(mode="json", exclude_unset=True)

    def to_json(self) -> str:
        """Compact JSON of `to_dict`, non-ASCII letters kept."""
        return self.model_dump_json(exclude_unset=True)


class Item(_Model):
    """One object of a scene."""

    item_id: int
    label: Word
    attributes: tuple[Word, ...] = ()
    box: Box | None = None
    confidence: float | None = None
    """Of the annotator, 0..1; absent in intended graphs."""

    @property
    def phrase(self) -> str:
        """Attributes and label as one phrase, such as `red circle`."""
        return " ".join((*self.attributes, self.label))


class Relation(_Model):
    """`item1` stands in `relation` to `item2`; both are item ids of the same graph."""

    item1: int
    relation: Word
    item2: int


class SceneGraph(_Model):
    """Objects and relations; also reads a whole LAION-SG record, whose other fields it keeps."""

    items: tuple[Item, ...] = ()
    relations: tuple[Relation, ...] = ()

    @classmethod
    def from_dict(cls, record: object, *, where: str = "scene graph") -> SceneGraph:
        """Read a graph or a LAION-SG record. Raises `DataError` naming `where` and the field."""
        try:
            return cls.model_validate(record)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "the record"
            raise DataError(f"{where}: {field}: {first['msg']}.") from None

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str = "scene graph") -> SceneGraph:
        """Read JSON text. Raises `DataError` naming `where` when it is no JSON or no graph."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "the text"
            raise DataError(f"{where}: {field}: {first['msg']}.") from None

    def unknown(self, kind: str) -> frozenset[str]:
        """The words that its annotator can't recognise: of `attributes`, or of `relations`.

        Kept in the field `unknown`, a mapping of these two to lists; most graphs have none.
        """
        unknown = (self.model_extra or {}).get("unknown")
        words = unknown.get(kind) if isinstance(unknown, dict) else None
        return (
            frozenset(_composed(str(word)) for word in words)
            if isinstance(words, list)
            else frozenset()
        )

    def problems(self) -> list[str]:
        """What makes the graph inconsistent: doubled item ids, relations to missing items."""
        counts = Counter(item.item_id for item in self.items)
        doubled = [f"item_id {i} occurs {n} times" for i, n in counts.items() if n > 1]
        dangling = [
            f"relation {r.relation!r} names item {end}, which does not exist"
            for r in self.relations
            for end in (r.item1, r.item2)
            if end not in counts
        ]
        return doubled + dangling

    def item(self, item_id: int) -> Item:
        """The item with this id. Raises `KeyError`."""
        for item in self.items:
            if item.item_id == item_id:
                return item
        raise KeyError(item_id)

    def triples(self) -> set[Triple]:
        """Distinct (subject label, predicate, object label), as LAION-SG's SG-IoU counts them."""
        label = {item.item_id: item.label for item in self.items}
        return {(label[r.item1], r.relation, label[r.item2]) for r in self.relations}

    def phrases(self) -> dict[int, str]:
        """Item id -> attributes in alphabetical order and label, however the item was worded."""
        return {i.item_id: " ".join((*sorted(i.attributes), i.label)) for i in self.items}

    def facts(self) -> set[Fact]:
        """Distinct (subject phrase, relation, object phrase), each in the direction of `one_way`.

        Raises `KeyError` for a relation to a missing item.
        """
        phrase = self.phrases()
        return {one_way((phrase[r.item1], r.relation, phrase[r.item2])) for r in self.relations}


CONVERSE = {
    "right of": "left of",
    "below": "above",
    "behind": "in front of",
    "next to": "next to",
    "near": "near",
}
"""Relation -> the one that says the same with both ends exchanged, which replaces it."""

Fact = tuple[str, str, str]
"""Subject, relation, object, each a phrase."""


def one_way(fact: Fact) -> Fact:
    """The same fact in the one direction of `CONVERSE`: B right of A becomes A left of B."""
    subject, relation, target = fact
    converse = CONVERSE.get(relation)
    if converse is None or (converse == relation and subject <= target):
        return fact
    return target, converse, subject
