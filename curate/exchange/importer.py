"""`import_set`: somebody else's pairs as a data set of ours, without scores and graphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from invdpo.curate.dataset.card import CARD, dataset_facts
from invdpo.curate.dataset.exif import without_metadata
from invdpo.curate.dataset.write import metadata, write_splits
from invdpo.curate.exchange.base import IMPORTS, Exchanged, Found
from invdpo.curate.exchange.names import suffix
from invdpo.curate.exchange.ours import ROWS, Tables
from invdpo.curate.storage.atomic import replacing_folder
from invdpo.schemas import DataError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.ids import content_id, image_id
from invdpo.schemas.tables import SIDES, Record, dataset_schema

IMAGE_MISSING = "image missing"
PROMPT_MISSING = "prompt missing"
EQUAL = "chosen equals rejected"
UNREADABLE = "image unreadable"
TWICE = "pair stands twice"


def import_set(source: Path, kind: str, output: Path, config: DatasetConfig) -> Exchanged:
    """Write a data set of ours from pairs in another layout; rows that are no pair are counted.

    Args:
        source: Folder, or one Parquet file.
        kind: A name of `IMPORTS`.
        output: A folder that is not there yet, or is empty.
        config: The licence for the card.

    Raises `PluginError` for an unknown layout; `DataError` when the source is not of it, holds no
    pair, names a path that leads out of it, or when the output holds something.
    """
    read = IMPORTS[kind]
    if not source.exists():
        raise DataError(f"{source}: nothing is there. Give a folder, or a Parquet file.")
    done = Exchanged(output)
    name = source.resolve().name
    origin = f"Imported by invdpo from {name}, pairs in the layout {kind}. Prompts, pictures and "
    notes = {"origin": f"{origin}choices are those of {name}; there are no scores and no graphs."}
    schema = dataset_schema([])
    schema = schema.with_metadata(metadata(schema, {"import": {"layout": kind}}, notes))
    with replacing_folder(output, ours=()) as new:
        (new / "data").mkdir()
        rows = _rows(read(source), done)
        done.pairs.update(write_splits(new / "data", _tables(rows, schema), schema))
        if not done.pairs.total():
            reasons = ", ".join(f"{reason}: {n}" for reason, n in done.skipped.most_common())
            raise DataError(f"{source}: no pair in it ({reasons or 'no rows'}).")
        _write_card(new, output.resolve().name, config)
    return done


def _rows(found: Iterable[Found], done: Exchanged) -> Iterator[tuple[str, Record]]:
    """Split and row of every pair; the others are counted."""
    seen: set[str] = set()
    for one in found:
        row = _row(one)
        if isinstance(row, str):
            done.skip(row, one.where)
        elif row["pair_id"] in seen:
            done.skip(TWICE, one.where)
        else:
            seen.add(row["pair_id"])
            yield one.split, row


def _row(one: Found) -> Record | str:
    """A row of our data set, or why it is none."""
    if one.flaw:
        return one.flaw
    if one.chosen is None or one.rejected is None:
        return IMAGE_MISSING
    if not isinstance(one.prompt, str) or not one.prompt.strip():
        return PROMPT_MISSING
    if one.chosen == one.rejected:
        return EQUAL
    pictures = (one.chosen, one.rejected)
    kinds = [suffix(data) for data in pictures]
    if None in kinds:
        return UNREADABLE
    hashes = [image_id(data) for data in pictures]
    # the id by which the trainer knows a pair that has none
    row: dict[str, Any] = {"pair_id": one.pair_id or content_id(one.prompt, *hashes)}
    row |= {"prompt": one.prompt, "model": one.models[0], "rejected_model": one.models[1]}
    for side, data, kind, name, own in zip(SIDES, pictures, kinds, hashes, one.ids, strict=True):
        clean = without_metadata(data)
        row |= {side: {"bytes": clean, "path": f"{name}.{kind}"}, f"{side}_id": own or name}
    return row


def _tables(rows: Iterable[tuple[str, Record]], schema: pa.Schema) -> Tables:
    waiting: dict[str, list[Record]] = {}
    for split, row in rows:
        some = waiting.setdefault(split, [])
        some.append(row)
        if len(some) == ROWS:
            yield split, pa.Table.from_pylist(waiting.pop(split), schema)
    for split, some in waiting.items():
        yield split, pa.Table.from_pylist(some, schema)


def _write_card(folder: Path, name: str, config: DatasetConfig) -> None:
    from invdpo.data_cards import render_dataset_card

    facts = dataset_facts(folder) | {"name": name, "license": config.license or "other"}
    (folder / CARD).write_text(render_dataset_card(facts), encoding="utf-8")
