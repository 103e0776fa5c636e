"""`merge_datasets`: several datasets of ours as one, with doubles and leaks between splits out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from invdpo.curate.dataset.card import write_dataset_card
from invdpo.curate.dataset.folder import DatasetFolder
from invdpo.curate.dataset.write import file_metadata, write_splits
from invdpo.curate.exchange.base import ExchangeResult
from invdpo.curate.exchange.ours import SourceDataset, SplitTables, with_licence
from invdpo.curate.storage.atomic import replacing_folder
from invdpo.schemas import DataError
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.ids import prompt_key
from invdpo.schemas.layouts.rows import UNREADABLE

TWICE = "pair is in an earlier dataset, too"
LEAK = "prompt is in the validation split of another dataset"


def merge_datasets(
    sources: Sequence[Path | DatasetFolder], output: Path, config: DatasetConfig
) -> ExchangeResult:
    """Write the pairs of several datasets into one; the first of pairs with the same id counts.

    A pair for training whose prompt is for validation in another dataset is left out, so that the
    splits stay apart.

    Args:
        sources: Datasets, by their folders or those of their workspaces; at least two.
        output: A folder that does not exist yet, or is empty.
        config: The licence for the card; the one that the sources' cards name if not given.

    Raises `DataError` for fewer than two, for columns that are not the same in all of them, for a
    damaged file, and when the output holds something.
    """
    if len(sources) < 2:
        raise DataError(f"{len(sources)} dataset given; merging needs two or more.")
    folders = [s if isinstance(s, DatasetFolder) else DatasetFolder.find(s) for s in sources]
    schema = _common_schema(folders)
    datasets = [SourceDataset(folder, DatasetConfig()) for folder in folders]
    result = ExchangeResult(output)
    with replacing_folder(output, ours=()) as new:
        (new / "data").mkdir()
        tables = _tables(datasets, schema, result)
        written = write_splits(new / "data", tables, _described(schema, folders))
        result.pairs.update(written.pairs)
        if not result.pairs.total():
            raise DataError(f"{folders[0].path}: no pair in any of these datasets.")
        licensed = with_licence(folders, config)
        write_dataset_card(new, output.resolve().name, licensed, hashes=written.hashes)
    return result


def _common_schema(folders: Sequence[DatasetFolder]) -> pa.Schema:
    """The columns of the first dataset, which all others must have, too."""
    first = folders[0].schema().remove_metadata()
    for folder in folders[1:]:
        columns = {field.name: field.type for field in folder.schema()}
        wanted = {field.name: field.type for field in first}
        if columns != wanted:
            unlike = sorted(name for name, _ in columns.items() ^ wanted.items())
            raise DataError(
                f"{folder.path}: its columns differ from those of {folders[0].path}: "
                f"{', '.join(dict.fromkeys(unlike))}. Pair both with the same scorers, then "
                "merge them."
            )
    return first


def _described(schema: pa.Schema, folders: Sequence[DatasetFolder]) -> pa.Schema:
    names = [_name(folder) for folder in folders]
    if len({*names}) < len(names):  # rounds of two folders have the same names
        names = [f"{name} ({n})" for n, name in enumerate(names, 1)]
    notes = {"origin": f"Merged by invdpo from {len(folders)} datasets: {', '.join(names)}."}
    hashes = {name: folder.content_hash() for name, folder in zip(names, folders, strict=True)}
    return schema.with_metadata(file_metadata(schema, {"merge": hashes}, notes))


def _name(folder: DatasetFolder) -> str:
    """Of a dataset: that of its workspace and set, as `dataset` says nothing."""
    ws = folder.enclosing_workspace
    return ws.title if ws else folder.path.resolve().name


def _tables(
    datasets: Sequence[SourceDataset], schema: pa.Schema, result: ExchangeResult
) -> SplitTables:
    """The rows that stay, of one dataset after another."""
    validation = [_validation_prompts(dataset.folder) for dataset in datasets]
    seen: set[str] = set()
    for number, dataset in enumerate(datasets):
        others = set[str]().union(*validation[:number], *validation[number + 1 :])
        for (_, path), rows in dataset.unreadable.items():
            for row in sorted(rows):
                result.skip(UNREADABLE, f"{path} row {row}")
        for split, table in dataset.tables():
            kept = list(_kept(split, table, seen, others, result, str(dataset.folder.path)))
            if kept:
                yield split, table.take(kept).select(schema.names).cast(schema)


def _validation_prompts(folder: DatasetFolder) -> set[str]:
    """The keys of the prompts that a dataset holds out."""
    from invdpo.curate.dataset.folder import open_shard

    keys = set[str]()
    for path in folder.shards("validation"):
        with open_shard(path) as file:
            prompts = file.read(columns=["prompt"])["prompt"].to_pylist()
        keys |= {prompt_key(prompt or "") for prompt in prompts}
    return keys


def _kept(
    split: str,
    table: pa.Table,
    seen: set[str],
    others: set[str],
    result: ExchangeResult,
    where: str,
) -> Iterator[int]:
    columns = (table[name].to_pylist() for name in ("pair_id", "prompt"))
    for row, (pair_id, prompt) in enumerate(zip(*columns, strict=True)):
        if pair_id in seen:
            result.skip(TWICE, f"{where}: {pair_id}")
        elif split == "train" and prompt_key(prompt or "") in others:
            result.skip(LEAK, f"{where}: {pair_id}")
        else:
            seen.add(pair_id)
            yield row
