"""Layouts that are Parquet files: which columns they need, and how a record becomes a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa

from invdpo.schemas.errors import DataError
from invdpo.schemas.io.parquet import iter_records, read_schema
from invdpo.schemas.layouts.dataset_files import DatasetFiles
from invdpo.schemas.layouts.rows import TIE, Row

LoadImage = Callable[[Any], bytes | None]
"""From the value of a column to the encoded bytes."""
ToRow = Callable[[dict[str, Any], str, LoadImage], Row]
"""From a record, its file and row for messages, and how its images are loaded."""


@dataclass(frozen=True)
class ColumnType:
    """What a column may hold."""

    name: str
    accepts: Callable[[pa.DataType], bool]


@dataclass(frozen=True)
class ColumnLayout:
    """A layout of Parquet files with certain columns."""

    expected: str
    columns: Mapping[str, ColumnType]
    to_row: ToRow
    optional: tuple[str, ...] = (
        "pair_id",
        "margin",
        "chosen_seed",
        "rejected_seed",
        "revision",
        "rejected_revision",
    )
    """Columns that are read where they are there."""
    others: tuple[str, ...] = ()
    """Further columns to read, which the layout does not know."""

    def problem(self, files: DatasetFiles) -> str | None:
        """What is missing to read these files in this layout; None when it fits."""
        paths = files.split_files("train") or files.parquet_files()
        return self._problem(read_schema(paths[0])) if paths else "there is no Parquet file"

    def rows(self, files: DatasetFiles, split: str) -> Iterator[Row]:
        """The rows of a split. Raises `DataError` for a file that is damaged or lacks columns."""
        for path, reason in files.unread_files(split).items():
            yield Row(files.relative(path), reason=reason)
        for path in files.split_files(split):
            schema = read_schema(path)
            if problem := self._problem(schema):
                raise DataError(f"{path}: {problem}; found {', '.join(schema.names)}.")
            optional = [n for n in self.optional if n in schema.names and n not in self.columns]
            others = [name for name in self.others if name in schema.names]
            wanted = dict.fromkeys([*self.columns, *optional, *others])
            for number, record in enumerate(iter_records(path, list(wanted))):
                where = f"{files.relative(path)} row {number}"
                row = self.to_row(record, where, partial(_image_bytes, files, where))
                yield replace(row, others={n: record[n] for n in others}) if others else row

    def other_columns(self, files: DatasetFiles) -> dict[str, pa.DataType]:
        """Columns of plain values beside those of the layout, the same in all files -> their type.

        Texts are of one type, however they are stored.
        """
        paths = [*files.split_files("train"), *files.split_files("validation")]
        columns = [_plain_columns(read_schema(path)) for path in paths]
        known = {*self.columns, "pair_id"}
        return {
            name: kind
            for name, kind in (columns[0] if columns else {}).items()
            if name not in known and all(other.get(name) == kind for other in columns)
        }

    def _problem(self, schema: pa.Schema) -> str | None:
        missing = [name for name in self.columns if name not in schema.names]
        if missing:
            return f"column {', '.join(missing)} missing"
        twice = [
            n for n in (*self.columns, *self.optional, *self.others) if schema.names.count(n) > 1
        ]
        if twice:
            return f"column {', '.join(twice)} occurs twice"
        wrong = (
            f"column {name} is {schema.field(name).type}, expected {kind.name}"
            for name, kind in self.columns.items()
            if not kind.accepts(schema.field(name).type)
        )
        return "; ".join(wrong) or None


def preference_row(record: dict[str, Any], where: str, load: LoadImage) -> Row:
    """`prompt`, `chosen`, `rejected`, and perhaps `pair_id`."""
    chosen, rejected = load(record["chosen"]), load(record["rejected"])
    margin = record.get("margin")
    return Row(
        where,
        record["prompt"],
        chosen,
        rejected,
        record.get("pair_id"),
        margin=float(margin) if isinstance(margin, int | float) and margin >= 0 else None,
        seeds=(_integer(record.get("chosen_seed")), _integer(record.get("rejected_seed"))),
        revisions=(_text(record.get("revision")), _text(record.get("rejected_revision"))),
    )


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def pickapic_row(record: dict[str, Any], where: str, load: LoadImage) -> Row:
    """`label_0` is 1 when `jpg_0` won and 0 when `jpg_1` did; anything else is a tie."""
    if record["label_0"] not in (0, 1):
        return Row(where, reason=TIE)
    won, lost = (0, 1) if record["label_0"] == 1 else (1, 0)
    return Row(
        where,
        record["caption"],
        load(record[f"jpg_{won}"]),
        load(record[f"jpg_{lost}"]),
        exported_id=record.get("pair_id"),
        image_ids=(record.get(f"image_{won}_uid"), record.get(f"image_{lost}_uid")),
        models=(record.get(f"model_{won}"), record.get(f"model_{lost}")),
    )


def _image_bytes(files: DatasetFiles, where: str, value: Any) -> bytes | None:
    """The bytes of an image struct, plain bytes, or those of the file that a path names."""
    if isinstance(value, dict):
        value = value["path"] if value["bytes"] is None else value["bytes"]
    if isinstance(value, str):
        return files.read(value, where)
    return value if isinstance(value, bytes) else None


def _plain_columns(schema: pa.Schema) -> dict[str, pa.DataType]:
    """Name -> type of the columns with texts, numbers, true or false."""
    kinds = {
        field.name: pa.string() if _is_text(field.type) else field.type
        for field in schema
        if schema.names.count(field.name) == 1
    }
    return {n: k for n, k in kinds.items() if k == pa.string() or _is_number(k)}


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(kind) for test in (*tests, pa.types.is_null))


def _is_bytes(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(test(kind) for test in (*tests, pa.types.is_null))


def _is_image(kind: pa.DataType) -> bool:
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return False
    paths = kind.get_field_index("path")
    return _is_bytes(kind.field("bytes").type) and paths >= 0 and _is_text(kind.field(paths).type)


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_null)
    return any(test(kind) for test in tests)


TEXT = ColumnType("text", _is_text)
NUMBER = ColumnType("a number", _is_number)
IMAGE_STRUCT = ColumnType("an image {bytes, path}", _is_image)
IMAGE = ColumnType(
    "an image {bytes, path}, bytes or a path",
    lambda kind: _is_image(kind) or _is_bytes(kind) or _is_text(kind),
)
