"""`invdpo curate card`, `export`, `import`: what is done with a data set once it is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from invdpo.cli.arguments import check_here
from invdpo.cli.command import Job, command
from invdpo.cli.curate import Work

if TYPE_CHECKING:
    from invdpo.curate.exchange import ExchangeResult

Dataset = Annotated[Path, typer.Argument(help="Data set, or its workspace.", metavar="DATASET")]
Source = Annotated[Path, typer.Argument(help="Folder, or one Parquet file.", metavar="SOURCE")]
To = Annotated[str, typer.Option("--to", help="Layout to write.", metavar="LAYOUT")]
From = Annotated[str, typer.Option("--from", help="Layout to read.", metavar="LAYOUT")]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="New folder to write.", metavar="FOLDER")
]


def enter(app: typer.Typer) -> None:
    """Add the commands to the group `curate`."""
    examples = {
        "card": "invdpo curate card work",
        "export": "invdpo curate export work --to pickapic --output pickapic",
        "import": "invdpo curate import pickapic --from pickapic --output imported",
    }
    pictures = ("dataset.image_format", "dataset.quality")
    command(app, "card", "dataset.license", example=examples["card"])(card)
    command(app, "export", *pictures, example=examples["export"])(export)
    command(app, "import", "dataset.license", example=examples["import"])(import_)


def card(job: Job, work: Work) -> None:
    """Renew the card's facts; what a person wrote stays."""
    from invdpo.curate.dataset.card import renew_card
    from invdpo.curate.workspace import Workspace

    ws = Workspace(work)
    with ws.lock():
        path = renew_card(ws, job.config(ws.config_path).dataset)
    job.out.result({"workspace": str(work), "card": str(path)}, str(path))


def export(job: Job, dataset: Dataset, to: To, output: Output) -> None:
    """Write a data set in another layout: pickapic, preference, folders or webdataset."""
    from invdpo.curate.exchange import export_dataset

    check_here(dataset)
    _tell(job, export_dataset(dataset, to, output, job.config().dataset))


def import_(job: Job, source: Source, layout: From, output: Output) -> None:
    """Make a data set of pairs in another layout: pickapic, preference or folders."""
    from invdpo.curate.exchange import import_dataset

    check_here(source)
    _tell(job, import_dataset(source, layout, output, job.config().dataset))


def _tell(job: Job, done: ExchangeResult) -> None:
    """The counts, and every reason why rows were left out with the first of them."""
    for reason, count in done.skipped.most_common():
        job.out.note(f"{count:,} rows left out: {reason} ({done.first[reason]} first)")
    counts = ", ".join(f"{n:,} for {split}" for split, n in done.pairs.items() if n)
    job.out.result(done.to_dict(), f"{done.folder}  {done.pairs.total():,} pairs: {counts}")
