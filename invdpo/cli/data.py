"""`invdpo curate card`, `export` and `import`: work on a finished data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from invdpo.cli.arguments import Dataset, SetName, Work, named_set, output_option
from invdpo.cli.command import Job, command

if TYPE_CHECKING:
    from invdpo.curate.exchange import ExchangeResult

WRITE = "Layout to write: pickapic, preference, folders or webdataset."
READ = "Layout to read: pickapic, preference or folders."

Source = Annotated[Path, typer.Argument(help="Folder, or one Parquet file.", metavar="SOURCE")]
Sources = Annotated[
    list[Path],
    typer.Argument(help="Data sets, or the workspaces that they are in.", metavar="DATASET..."),
]
To = Annotated[str, typer.Option("--to", help=WRITE, metavar="LAYOUT")]
From = Annotated[str, typer.Option("--from", help=READ, metavar="LAYOUT")]
Output = Annotated[Path, output_option("New folder to write.")]


def enter(app: typer.Typer) -> None:
    """Add the commands to the group `curate`."""
    examples = {
        "card": "invdpo curate card work",
        "export": "invdpo curate export work --to pickapic --output pickapic",
        "merge": "invdpo curate merge work pulled --output merged",
        "import": "invdpo curate import pickapic --from pickapic --output imported",
    }
    encoding = ("dataset.image_format", "dataset.quality")
    command(app, "card", "dataset.license", example=examples["card"])(card)
    command(app, "export", *encoding, example=examples["export"])(export)
    command(app, "import", "dataset.license", example=examples["import"])(import_)
    command(app, "merge", "dataset.license", example=examples["merge"])(merge)


def card(job: Job, work: Work, name: SetName = None) -> None:
    """Update the facts on the card; what a person wrote stays."""
    from invdpo.curate.dataset.card import renew_card
    from invdpo.curate.workspace import Workspace

    ws = Workspace(work, name).need_set()
    with ws.lock():
        path = renew_card(ws, job.config(*ws.config_paths).dataset)
    job.out.result({"workspace": str(work), "card": str(path)}, str(path))


def export(job: Job, dataset: Dataset, to: To, output: Output, name: SetName = None) -> None:
    """Write a data set in another layout."""
    from invdpo.curate.exchange import export_dataset

    source = named_set(dataset, name)
    _print_result(job, export_dataset(source, to, output, job.config().dataset))


def import_(job: Job, source: Source, layout: From, output: Output) -> None:
    """Make a data set from pairs in another layout."""
    from invdpo.curate.exchange import import_dataset

    _print_result(job, import_dataset(source, layout, output, job.config().dataset))


def merge(job: Job, sources: Sources, output: Output) -> None:
    """Join data sets into one, such as those of several rounds."""
    from invdpo.curate.exchange.merge import merge_datasets

    _print_result(job, merge_datasets(sources, output, job.config().dataset))


def _print_result(job: Job, result: ExchangeResult) -> None:
    """The counts, and each reason for leaving out rows, with the first such row."""
    for reason, count in result.skipped.most_common():
        job.out.note(f"{count:,} rows left out: {reason} (first: {result.first[reason]})")
    counts = ", ".join(f"{n:,} for {split}" for split, n in result.pairs.items() if n)
    job.out.result(result.to_dict(), f"{result.folder}  {result.pairs.total():,} pairs: {counts}")
