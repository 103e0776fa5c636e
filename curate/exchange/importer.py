"""`import_dataset`: the pairs of others as a dataset of ours, without scores and graphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from invdpo.curate.dataset.card import write_dataset_card
from invdpo.curate.dataset.exif import without_metadata
from invdpo.curate.dataset.write import file_metadata, write_splits
from invdpo.curate.exchange.base import ExchangeResult
from invdpo.curate.exchange.ours import BATCH_ROWS, SplitTables
from invdpo.curate.storage.atomic import replacing_folder
from invdpo.schemas import DataError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.ids import content_id, image_id
from invdpo.schemas.io.images import decode, image_suffix
from invdpo.schemas.layouts.columns import ColumnLayout
from invdpo.schemas.layouts.dataset_files import DatasetFiles
from invdpo.schemas.layouts.names import SPLITS
from invdpo.schemas.layouts.recognise import LAYOUTS, Layout, recognise
from invdpo.schemas.layouts.rows import UNREADABLE, Row
from invdpo.schemas.plugins import Registry
from invdpo.schemas.tables import SIDES, Record, dataset_schema

TWICE = "pair occurs twice"

IMPORTS: Registry[Layout] = Registry("import layout")
for _name in ("folders", "pickapic", "preference"):
    IMPORTS.register(_name)(LAYOUTS[_name])


def import_dataset(
    source: Path, layout: str, output: Path, config: DatasetConfig
) -> ExchangeResult:
    """Write a dataset of ours from pairs in another layout; rows that are no pair are counted.

    Args:
        source: Folder, or one Parquet file.
        layout: A name of `IMPORTS`.
        output: A folder that does not exist yet, or is empty.
        config: The licence for the card.

    Raises `PluginError` for an unknown layout; `DataError` when the source is not of it, holds no
    pair, names a path that leads out of it, or when the output holds something.
    """
    reader = IMPORTS[layout]
    files = DatasetFiles.at(source)
    if files is None:
        raise DataError(f"{source}: not found. Give a folder, or a Parquet file.")
    recognise(files, str(source), layout)
    result = ExchangeResult(output)
    schema = _schema(source.resolve().name, layout)
    with replacing_folder(output, ours=()) as new:
        (new / "data").mkdir()
        foreign = ((split, row) for split in SPLITS for row in reader.rows(files, split))
        tables = _tables(_records(foreign, result), schema)
        written = write_splits(new / "data", tables, schema)
        result.pairs.update(written.pairs)
        if not result.pairs.total():
            reasons = ", ".join(f"{reason}: {n}" for reason, n in result.skipped.most_common())
            raise DataError(f"{source}: no pair in it ({reasons or 'no rows'}).")
        write_dataset_card(new, output.resolve().name, config, hashes=written.hashes)
    return result


def convert(files: DatasetFiles, layout: str, folder: Path, result: ExchangeResult) -> None:
    """Write the pairs of any layout as `folder/data`, with the plain columns beside them.

    Rows that are no pair are counted in `result`. Raises `DataError` as `import_dataset`.
    """
    reader, others = LAYOUTS[layout], dict[str, pa.DataType]()
    if isinstance(reader, ColumnLayout):
        others = _fitting(reader.other_columns(files))
        reader = replace(reader, others=tuple(others))
    schema = _schema(folder.name, layout)
    for name, kind in others.items():
        schema = schema if name in schema.names else schema.append(pa.field(name, kind))
    (folder / "data").mkdir(parents=True)
    foreign = ((split, row) for split in SPLITS for row in reader.rows(files, split))
    write_splits(folder / "data", _tables(_records(foreign, result), schema), schema)


def _fitting(others: dict[str, pa.DataType]) -> dict[str, pa.DataType]:
    """Without columns that have the name of one of ours and hold something else."""
    ours = {field.name: field.type for field in dataset_schema([])}
    made = {"pair_id", *SIDES, *(f"{side}_id" for side in SIDES)}
    return {
        name: kind
        for name, kind in others.items()
        if name not in made
        and (ours.get(name, kind) == kind or (ours[name] == pa.float64() and _is_whole(kind)))
    }


def _is_whole(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind))


def _schema(name: str, layout: str) -> pa.Schema:
    """Columns of the new dataset, and what its files say of their origin."""
    origin = f"Imported by invdpo from {name}, pairs in the layout {layout}. Prompts, images and "
    notes = {"origin": f"{origin}choices are those of {name}; there are no scores and no graphs."}
    schema = dataset_schema([])
    return schema.with_metadata(file_metadata(schema, {"import": {"layout": layout}}, notes))


def _records(
    foreign: Iterable[tuple[str, Row]], result: ExchangeResult
) -> Iterator[tuple[str, Record]]:
    """Split and record of every pair; other rows are counted."""
    seen: set[str] = set()
    for split, row in foreign:
        record = _record(row)
        if isinstance(record, str):
            result.skip(record, row.where)
        elif record["pair_id"] in seen:
            result.skip(TWICE, row.where)
        else:
            seen.add(record["pair_id"])
            yield split, record


def _record(row: Row) -> Record | str:
    """A row of our dataset, or the reason why there is none."""
    if row.skip_reason:
        return row.skip_reason
    images = (row.chosen or b"", row.rejected or b"")
    try:
        for content in images:
            decode(content)  # a header alone is no image
        clean = [without_metadata(content) for content in images]
    except DataError:
        return UNREADABLE
    hashes = [image_id(content) for content in images]
    # the id by which the trainer knows a pair that has none
    pair_id = _text(row.pair_id) or _text(row.exported_id) or content_id(row.prompt, *hashes)
    record: dict[str, Any] = {"pair_id": pair_id, "prompt": row.prompt}
    record |= dict(zip(("model", "rejected_model"), map(_text, row.models), strict=True))
    record |= row.others
    for side, content, name, stored_id in zip(SIDES, clean, hashes, row.image_ids, strict=True):
        record[side] = {"bytes": content, "path": f"{name}.{image_suffix(content)}"}
        record[f"{side}_id"] = _text(stored_id) or name
    return record


def _text(value: object) -> str | None:
    """An id or a name as text; None for what can be neither."""
    return str(value) if isinstance(value, str | int) else None


def _tables(records: Iterable[tuple[str, Record]], schema: pa.Schema) -> SplitTables:
    """The records as tables of `BATCH_ROWS` rows."""
    waiting: dict[str, list[Record]] = {}
    for split, record in records:
        batch = waiting.setdefault(split, [])
        batch.append(record)
        if len(batch) == BATCH_ROWS:
            yield split, pa.Table.from_pylist(waiting.pop(split), schema)
    for split, batch in waiting.items():
        yield split, pa.Table.from_pylist(batch, schema)
