"""`invdpo curate card`, `export` and `import`: work on a finished dataset."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from invdpo.cli.arguments import (
    Dataset,
    SetName,
    named_set,
    optional,
    output_option,
    require_local,
)
from invdpo.cli.command import Job, command
from invdpo.schemas.io.text import count_noun

if TYPE_CHECKING:
    from invdpo.curate.exchange import ExchangeResult
    from invdpo.curate.exchange.derive import Operation

WRITE = "Layout to write: pickapic, preference, folders or webdataset."
READ = "Layout to read: pickapic, preference or folders."

CardOf = Annotated[
    str, typer.Argument(help="Workspace, or the folder of a dataset.", metavar="WORK")
]
Source = Annotated[Path, typer.Argument(help="Folder, or one Parquet file.", metavar="SOURCE")]
ANY = "Workspace, folder, Parquet file, or OWNER/NAME on the Hub, in any layout that `train` reads."
WHERE = "Condition that pairs must meet, such as relation=spatial or 'margin>=2'; may be repeated."
AGAINST = "Dataset, or file of prompts, whose prompts or pairs are left out; may be repeated."

AnyDataset = Annotated[str, typer.Argument(help=ANY, metavar="DATASET")]
AnyDatasets = Annotated[list[str], typer.Argument(help=ANY, metavar="DATASET...")]
Where = Annotated[list[str] | None, optional(metavar="CONDITION", help_text=WHERE)]
Number = Annotated[
    int | None, optional(metavar="INTEGER", help_text="Number of pairs to keep, chosen at random.")
]
Seed = Annotated[int, typer.Option(help="Seed of the random choice.", min=0, metavar="INTEGER")]
Against = Annotated[list[str] | None, optional(metavar="DATASET", help_text=AGAINST)]
By = Annotated[
    str,
    typer.Option(
        help="What counts as the same: prompt (ignoring case and extra spaces), or pair.",
        metavar="WHAT",
    ),
]
Reviews = Annotated[
    Path,
    typer.Option(help="Table written by `curate review`.", metavar="FILE", show_default=False),
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
        "subset": "invdpo curate subset work --where 'margin>=1' --number 2 --output subset",
        "split": "invdpo curate split work --split-by prompt --output resplit",
        "dedupe": "invdpo curate dedupe work --against subset --output rest",
        "correct": "invdpo curate correct work --reviews work/reviews.parquet --output corrected",
        "import": "invdpo curate import pickapic --from pickapic --output imported",
    }
    encoding = ("dataset.image_format", "dataset.quality")
    command(app, "card", "dataset.license", example=examples["card"])(card)
    command(app, "export", *encoding, example=examples["export"])(export)
    command(app, "import", "dataset.license", example=examples["import"])(import_)
    command(app, "merge", "dataset.license", example=examples["merge"])(merge)
    command(app, "subset", "dataset.license", example=examples["subset"])(subset)
    rule = ("pair.split_by", "pair.validation_fraction", "pair.seed")
    command(app, "split", *rule, "dataset.license", example=examples["split"])(split)
    command(app, "dedupe", "dataset.license", example=examples["dedupe"])(dedupe)
    command(app, "correct", "dataset.license", example=examples["correct"])(correct)


def card(job: Job, work: CardOf, name: SetName = None) -> None:
    """Update the figures on the card; text that people wrote is kept."""
    from invdpo.curate.dataset.card import renew_card, write_dataset_card
    from invdpo.curate.dataset.folder import DatasetFolder
    from invdpo.curate.workspace import Workspace

    folder = DatasetFolder(Path(work))
    if not folder.shards() or folder.enclosing_workspace:
        ws = folder.enclosing_workspace or Workspace(work, name).need_set()
        with ws.lock():
            path = renew_card(ws, job.config(*ws.config_paths).dataset)
    else:
        own, config = folder.path.resolve().name, job.config().dataset
        path = write_dataset_card(folder.path, own, config, folder.read_card())
    job.out.result({"workspace": str(work), "card": str(path)}, str(path))


def export(job: Job, dataset: Dataset, to: To, output: Output, name: SetName = None) -> None:
    """Write a dataset in another layout."""
    from invdpo.curate.exchange import export_dataset

    source = named_set(dataset, name)
    _print_result(job, export_dataset(source, to, output, job.config().dataset))


def import_(job: Job, source: Source, layout: From, output: Output) -> None:
    """Make a dataset from pairs in another layout."""
    from invdpo.curate.exchange import import_dataset

    _print_result(job, import_dataset(source, layout, output, job.config().dataset))


def merge(job: Job, sources: AnyDatasets, output: Output) -> None:
    """Join datasets of any layout into one, such as those of several rounds."""
    from invdpo.any_dataset import as_ours
    from invdpo.curate.exchange.base import ExchangeResult
    from invdpo.curate.exchange.merge import merge_datasets

    skipped = ExchangeResult(output)
    for source in sources:
        require_local(source)
    with ExitStack() as stack:
        folders = [stack.enter_context(as_ours(s, output, skipped)) for s in sources]
        result = merge_datasets(folders, output, job.config().dataset)
    _print_result(job, result.with_skipped(skipped))


def subset(
    job: Job,
    source: AnyDataset,
    output: Output,
    where: Where = None,
    number: Number = None,
    seed: Seed = 0,
) -> None:
    """Keep the pairs that meet conditions, or a random number of them."""
    from invdpo.curate.exchange import operations

    _derive(job, source, operations.subset(where or [], number, seed), output)


def split(job: Job, source: AnyDataset, output: Output) -> None:
    """Split a dataset again into train and validation, as `pair` does."""
    from invdpo.curate.exchange import operations

    _derive(job, source, operations.split(job.config().pair), output)


def dedupe(
    job: Job,
    source: AnyDataset,
    output: Output,
    against: Against = None,
    by: By = "prompt",
) -> None:
    """Leave out duplicate pairs, and pairs of other datasets or files of prompts."""
    from invdpo.any_dataset import read_known
    from invdpo.curate.exchange import operations

    _derive(job, source, operations.dedupe(read_known(against or []), by), output)


def correct(job: Job, source: AnyDataset, reviews: Reviews, output: Output) -> None:
    """Apply the decisions of reviewers to a dataset."""
    from invdpo.curate.exchange import operations
    from invdpo.curate.storage.parts import read_part

    _derive(job, source, operations.correct(read_part(reviews)), output)


def _derive(job: Job, source: str, operation: Operation, output: Path) -> None:
    """Do something to a dataset of any layout, and show what came of it."""
    from invdpo.any_dataset import as_ours
    from invdpo.curate.exchange.base import ExchangeResult
    from invdpo.curate.exchange.derive import derive_dataset

    skipped = ExchangeResult(output)
    require_local(source)
    with as_ours(source, output, skipped) as folder:
        result = derive_dataset(folder, operation, output, job.config().dataset)
    _print_result(job, result.with_skipped(skipped))


def _print_result(job: Job, result: ExchangeResult) -> None:
    """The counts, and each reason for leaving out rows, with the first such row."""
    for message in result.messages():
        job.out.note(message)
    counts = ", ".join(f"{n:,} for {split}" for split, n in result.pairs.items() if n)
    job.out.result(
        result.to_dict(), f"{result.folder}  {count_noun(result.pairs.total(), 'pair')}: {counts}"
    )
