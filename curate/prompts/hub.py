"""`hub`: prompts of a column of a data set on the Hub, or of a folder in its form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from invdpo.curate.prompts.base import PROMPT_SOURCES, Draft
from invdpo.curate.prompts.reader import BESIDE, Reader
from invdpo.schemas import ConfigError, DataError
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.io.hub import hub_failure, hub_failures
from invdpo.schemas.io.text import Counts, describe_error

COMMIT = re.compile(r"[0-9a-f]{40}")


@PROMPT_SOURCES.register("hub")
class HubSource:
    """Streams; only columns that are no pictures are read. Raises `ConfigError` without a name."""

    name = "hub"

    def __init__(self, config: PromptsConfig) -> None:
        if config.path is None:
            raise ConfigError("prompts.path: missing; the source `hub` needs OWNER/NAME.")
        self._path = config.path
        self._config = config
        self._reader = Reader(config)

    def fingerprint(self) -> dict[str, Any]:
        """Name, commit and split, and what reads them. Raises `DataError` without the Hub."""
        return {
            "source": self.name,
            "num_prompts": self._config.num_prompts,
            "dataset": self._path,
            "revision": self._commit,
            "split": self._config.hub_split,
        } | self._reader.fingerprint()

    @cached_property
    def _commit(self) -> str | None:
        """What the branch or tag means now, lest it means something else later; a folder has none.

        A commit is taken at its word.
        """
        asked = self._config.hub_revision
        if Path(self._path).exists() or (asked and COMMIT.fullmatch(asked)):
            return asked
        from huggingface_hub import HfApi

        try:
            return str(HfApi().dataset_info(self._path, revision=asked, timeout=20).sha)
        except hub_failures(ValueError) as error:
            text = hub_failure(error, self._path, "dataset", asked)
            text = f"{text}\nIf it was fetched before, name its commit by --hub-revision."
            raise DataError(text) from None

    @cached_property
    def _rows(self) -> Any:
        import datasets

        try:
            dataset = datasets.load_dataset(
                self._path,
                split=self._config.hub_split,
                streaming=True,
                revision=self._commit,
            )
        except Exception as error:
            text = f"{self._path}: split {self._config.hub_split!r} can't be opened"
            raise DataError(f"{text} ({describe_error(error)}).") from error
        names = dataset.column_names
        if names is None:
            return dataset
        column = self._reader.column(names, self._path)
        kept = {column, *BESIDE}
        return dataset.select_columns([name for name in names if name in kept])

    def counts(self) -> Counts:
        """What asking a model for graphs has cost since it was last asked for."""
        return self._reader.counts()

    def __call__(self) -> Iterator[Draft]:
        """The prompts in the data set's order."""
        rows = enumerate(self._rows, start=1)
        drafts = (self._reader.record(record, number, self._path) for number, record in rows)
        return self._reader.filled(drafts)
