"""Layouts that are Parquet files: which columns they need, and what a row says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from invdpo.schemas.errors import DataError
from invdpo.schemas.layouts.files import Place
from invdpo.schemas.layouts.parquet import records, schema_of
from invdpo.schemas.layouts.rows import TIE, Row

Picture = Callable[[Any], bytes | None]
"""From what a column holds to the encoded bytes."""
ToRow = Callable[[dict[str, Any], str, Picture], Row]
"""From a record, where it stands, and how its pictures are read."""


@dataclass(frozen=True)
class Kind:
    """What a column may hold."""

    name: str
    accepts: Callable[[pa.DataType], bool]


@dataclass(frozen=True)
class Tables:
    """A layout of Parquet files."""

    expected: str
    columns: Mapping[str, Kind]
    to_row: ToRow

    def lacks(self, place: Place) -> str | None:
        """What is missing to read the place in this layout; none when it fits."""
        tables = place.split("train") or place.tables()
        return self._lacks(schema_of(tables[0])) if tables else "there is no Parquet file"

    def rows(self, place: Place, split: str) -> Iterator[Row]:
        """The rows of a split. Raises `DataError` for a file that is damaged or lacks columns."""
        for path in place.split(split):
            schema = schema_of(path)
            if problem := self._lacks(schema):
                raise DataError(f"{path}: {problem}; found {', '.join(schema.names)}.")
            columns = [*self.columns, *({"pair_id"} & {*schema.names} - {*self.columns})]
            for number, record in enumerate(records(path, columns)):
                where = f"{place.shown(path)} row {number}"
                yield self.to_row(record, where, partial(_bytes, place, where))

    def _lacks(self, schema: pa.Schema) -> str | None:
        missing = [name for name in self.columns if name not in schema.names]
        if missing:
            return f"column {', '.join(missing)} missing"
        wrong = (
            f"column {name} is {schema.field(name).type}, expected {kind.name}"
            for name, kind in self.columns.items()
            if not kind.accepts(schema.field(name).type)
        )
        return "; ".join(wrong) or None


def preference(record: dict[str, Any], where: str, picture: Picture) -> Row:
    """`prompt`, `chosen`, `rejected`, and perhaps `pair_id`."""
    chosen, rejected = picture(record["chosen"]), picture(record["rejected"])
    return Row(where, record["prompt"], chosen, rejected, record.get("pair_id"))


def pickapic(record: dict[str, Any], where: str, picture: Picture) -> Row:
    """`label_0` is 1 when `jpg_0` won and 0 when `jpg_1` did; anything else is a tie."""
    if record["label_0"] not in (0, 1):
        return Row(where, reason=TIE)
    first, second = picture(record["jpg_0"]), picture(record["jpg_1"])
    sides = (first, second) if record["label_0"] == 1 else (second, first)
    return Row(where, record["caption"], *sides)


def _bytes(place: Place, row: str, value: Any) -> bytes | None:
    """Bytes of an image struct, plain bytes, or those of the file that a path names."""
    if isinstance(value, dict):
        value = value["path"] if value["bytes"] is None else value["bytes"]
    if isinstance(value, str):
        return place.read(value, row)
    return value if isinstance(value, bytes) else None


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
    return any(test(kind) for test in tests)


def _is_bytes(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_null)
    return any(test(kind) for test in tests)


def _is_image(kind: pa.DataType) -> bool:
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return False
    paths = kind.get_field_index("path")
    return _is_bytes(kind.field("bytes").type) and paths >= 0 and _is_text(kind.field(paths).type)


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_null)
    return any(test(kind) for test in tests)


TEXT = Kind("text", _is_text)
NUMBER = Kind("a number", _is_number)
IMAGE = Kind("an image {bytes, path}", _is_image)
PICTURE = Kind(
    "an image {bytes, path}, bytes or a path",
    lambda kind: _is_image(kind) or _is_bytes(kind) or _is_text(kind),
)
