"""A dataset made of another one: some of its rows, each in a split, perhaps with sides swapped.

An operation sees one row of small columns for each pair, however large the images are, and says
which rows stay. Then the pairs are copied a few at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate.dataset.card import write_dataset_card
from invdpo.curate.dataset.folder import DatasetFolder
from invdpo.curate.dataset.write import file_metadata, write_splits
from invdpo.curate.exchange.base import ExchangeResult
from invdpo.curate.exchange.ours import SPLIT, SourceDataset, SplitTables, with_licence
from invdpo.curate.storage.atomic import replacing_folder
from invdpo.curate.storage.parts import NOTES
from invdpo.schemas import DataError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.documents import read_json
from invdpo.schemas.layouts.rows import UNREADABLE

ROW, FLIP = "(row)", "(flip)"
"""Columns of an operation's table beside those that it asks for and `SPLIT`: the number of the row,
and whether its sides are swapped."""

Apply = Callable[[pa.Table, ExchangeResult], pa.Table]
"""From the rows to those that stay, their `SPLIT` and `FLIP` changed; others are counted."""


@dataclass(frozen=True)
class Operation:
    """What is done to the rows of a dataset."""

    name: str
    words: str
    """What was done, for the card: `rows with margin > 2`."""
    facts: Mapping[str, Any]
    """What decided it, in JSON's types."""
    columns: Callable[[pa.Schema], list[str]]
    """The columns that it looks at. Raises `DataError` for one that isn't there."""
    apply: Apply
    doubled_ids: bool = False
    """Whether several rows may have one id."""


def derive_dataset(
    source: DatasetFolder, operation: Operation, output: Path, config: DatasetConfig
) -> ExchangeResult:
    """Write what an operation leaves of a dataset of ours as another one, with a card.

    Args:
        source: The dataset, which is not changed.
        operation: What to do.
        output: A folder that does not exist yet, or is empty.
        config: The licence for the card; that of the source's card if not given.

    Raises `DataError` for a column that isn't there, ids that occur twice, when no pair is left,
    and when the output holds something.
    """
    result, schema = ExchangeResult(output), source.schema()
    columns = list(dict.fromkeys(["pair_id", *operation.columns(schema)]))
    with replacing_folder(output, ours=()) as new:
        dataset = SourceDataset(source, DatasetConfig())
        for (_, path), unreadable in dataset.unreadable.items():
            for number in sorted(unreadable):
                result.skip(UNREADABLE, f"{path} row {number}")
        rows = _numbered(dataset.columns(columns))
        if not operation.doubled_ids:
            check_ids(source, rows)
        chosen = operation.apply(rows, result)
        if not len(chosen):
            reasons = ", ".join(f"{why}: {n:,}" for why, n in result.skipped.most_common())
            raise DataError(f"{source.path}: none of {len(rows):,} pairs is left ({reasons}).")
        (new / "data").mkdir()
        described = _described(source, schema, operation)
        tables = _chosen_tables(dataset, chosen)
        written = write_splits(new / "data", tables, described)
        result.pairs.update(written.pairs)
        write_dataset_card(
            new, output.resolve().name, with_licence([source], config), hashes=written.hashes
        )
    return result


def drop(rows: pa.Table, dropped: pa.Array, reason: str, result: ExchangeResult) -> pa.Table:
    """The rows without those for which `dropped` is true, which are counted."""
    dropped = pc.fill_null(dropped, False)
    gone = rows["pair_id"].filter(dropped)
    if len(gone):
        result.skipped[reason] += len(gone)
        result.first.setdefault(reason, str(gone[0].as_py()))
    return rows.filter(pc.invert(dropped))


def _numbered(rows: pa.Table) -> pa.Table:
    count = len(rows)
    numbered = rows.append_column(ROW, pa.array(np.arange(count)))
    return numbered.append_column(FLIP, pa.array(np.zeros(count, dtype=bool)))


def check_ids(source: DatasetFolder, rows: pa.Table) -> None:
    """Raise `DataError` for an id that several rows have."""
    counts = pc.value_counts(rows["pair_id"])
    doubled = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(doubled):
        first = doubled[0].as_py()
        raise DataError(
            f"{source.path}: {len(doubled):,} ids occur in several rows, {first['values']} in "
            f"{first['counts']}. Keep one row of each first: invdpo curate dedupe"
        )


def _chosen_tables(dataset: SourceDataset, chosen: pa.Table) -> SplitTables:
    """The rows that stay, in the order of the source."""
    chosen = chosen.sort_by(ROW)
    numbers, flips = chosen[ROW].to_numpy(), chosen[FLIP].to_numpy()
    splits = chosen[SPLIT].to_numpy().astype(object)
    first = 0
    for _, table in dataset.tables():
        low, high = np.searchsorted(numbers, [first, first + len(table)])
        for split, flip in sorted(set(zip(splits[low:high], flips[low:high], strict=True))):
            same = (splits[low:high] == split) & (flips[low:high] == flip)
            rows = table.take(pa.array(numbers[low:high][same] - first))
            yield split, flipped(rows) if flip else rows
        first += len(table)


def flipped(rows: pa.Table) -> pa.Table:
    """The rows with their sides swapped, under the ids that the pairing gives such pairs.

    A margin counts the other way then.
    """
    names = rows.column_names
    swapped = pa.table(
        {name: rows[other if (other := _other_side(name)) in names else name] for name in names}
    )
    ids = zip(*(swapped[name].to_pylist() for name in ("chosen_id", "rejected_id")), strict=True)
    columns = {"pair_id": pa.array([content_id("pair", *sides) for sides in ids], pa.string())}
    if "margin" in names:
        columns["margin"] = pc.negate(swapped["margin"])
    for name, values in columns.items():
        swapped = swapped.set_column(names.index(name), rows.schema.field(name), values)
    return swapped.cast(rows.schema)


def _other_side(name: str) -> str:
    """The column of the other image; `model` and `revision` are the chosen image's."""
    if name in ("model", "revision"):
        return f"rejected_{name}"
    if name in ("rejected_model", "rejected_revision"):
        return name.removeprefix("rejected_")
    for side, other in (("chosen", "rejected"), ("rejected", "chosen")):
        if name == side or name.startswith(f"{side}_"):
            return other + name.removeprefix(side)
    return name


def _described(source: DatasetFolder, schema: pa.Schema, operation: Operation) -> pa.Schema:
    """The columns, and what the files say of their origin."""
    ws = source.enclosing_workspace
    name = ws.title if ws else source.path.resolve().name
    notes = read_json((schema.metadata or {}).get(NOTES, b"{}"), f"{source.path}: its notes", dict)
    made = f"Made by invdpo from the dataset {name}: {operation.words}."
    notes["origin"] = " ".join(filter(None, (notes.get("origin"), made)))
    facts = {operation.name: {"of": source.content_hash(), **operation.facts}}
    return schema.with_metadata(file_metadata(schema, facts, notes))


def iter_texts(rows: pa.Table, name: str) -> Iterator[str]:
    """A column of texts, empty ones for nulls."""
    return (text or "" for text in rows[name].to_pylist())
