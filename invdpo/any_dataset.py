"""Any dataset that `train` reads, as one of ours: named by a path, a workspace, or on the Hub."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from invdpo.schemas import DataError, InvdpoError
from invdpo.schemas.ids import prompt_key
from invdpo.schemas.io.records import read_prompts

if TYPE_CHECKING:
    from invdpo.curate.dataset.folder import DatasetFolder
    from invdpo.curate.exchange.base import ExchangeResult
    from invdpo.curate.exchange.operations import KnownPairs
    from invdpo.train.data import DataSet


@contextmanager
def as_ours(where: str, output: Path, skipped: ExchangeResult) -> Iterator[DatasetFolder]:
    """The dataset in our layout; any other is converted beside `output` for as long as it is used.

    Rows that are no pair are counted. Raises `DataError` for what `train` would not read.
    """
    from invdpo.curate.exchange.importer import convert

    if ours := _find_ours(where):
        yield ours
        return
    data = _open(where)
    output.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.absolute().parent, prefix=".invdpo-") as temporary:
        folder = Path(temporary) / (Path(where).name or "data")
        convert(data.files, data.data_format, folder, skipped)
        card = data.files.root / "README.md"
        if not data.files.file and card.is_file():
            shutil.copyfile(card, folder / card.name)
        yield _converted(folder, where, skipped)


def _find_ours(where: str) -> DatasetFolder | None:
    from invdpo.curate.dataset.folder import DatasetFolder
    from invdpo.curate.exchange.ours import is_ours

    with suppress(DataError):
        if is_ours(folder := DatasetFolder.find(Path(where))):
            return folder
    return None


def _open(where: str) -> DataSet:
    from invdpo.train.data import open_dataset

    return open_dataset(where)


def _converted(folder: Path, where: str, skipped: ExchangeResult) -> DatasetFolder:
    from invdpo.curate.dataset.folder import DatasetFolder

    converted = DatasetFolder(folder)
    if not converted.shards():
        reasons = ", ".join(f"{reason}: {n}" for reason, n in skipped.skipped.most_common())
        raise DataError(f"{where}: no pair in it ({reasons or 'no rows'}).")
    return converted


def read_known(against: Sequence[str]) -> KnownPairs:
    """The prompts and pairs of datasets, and the prompts of files. Raises as their readers do."""
    from invdpo.curate.exchange.operations import KnownPairs

    prompts, ids = set[str](), set[str]()
    for where in against:
        rows = _prompts_and_ids(where)
        for prompt, pair_id in rows:
            prompts.add(prompt_key(prompt))
            ids |= {pair_id} if pair_id else set()
    return KnownPairs(prompts, ids, tuple(Path(where).name for where in against))


def _prompts_and_ids(where: str) -> Iterator[tuple[str, str | None]]:
    if ours := _find_ours(where):
        for _, record in ours.rows(("prompt", "pair_id")):
            yield record["prompt"] or "", record["pair_id"]
        return
    path, data = Path(where), None
    if path.suffix == ".parquet" or not path.is_file():
        try:
            data = _open(where)
        except InvdpoError:
            if not path.is_file():
                raise
    if data is None:
        yield from ((prompt, None) for prompt in read_prompts(path))
        return
    yield from data.prompts()
