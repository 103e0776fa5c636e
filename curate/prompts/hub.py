"""`hub`: prompts in a column of a dataset on the Hub, or of a folder with such a dataset."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from invdpo.curate.prompts.base import PROMPT_SOURCES, Draft, PromptSource
from invdpo.curate.prompts.reader import COLUMNS_BESIDE, PromptReader
from invdpo.schemas import ConfigError, DataError
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.io.hub import hub_failure, hub_failures
from invdpo.schemas.io.text import Counts, describe_error

COMMIT = re.compile(r"[0-9a-f]{40}")


@PROMPT_SOURCES.register("hub")
class HubSource(PromptSource):
    """Streams the columns of prompts and graphs only. Raises `ConfigError` without a name."""

    name = "hub"

    def __init__(self, config: PromptsConfig) -> None:
        if config.path is None:
            raise ConfigError("prompts.path: missing; the source `hub` needs OWNER/NAME.")
        self._path = config.path
        self._config = config
        self._reader = PromptReader(config)

    def fingerprint(self) -> dict[str, Any]:
        """Name, commit, split and parser. Raises `DataError` if the Hub can't be reached."""
        return {
            "source": self.name,
            "num_prompts": self._config.num_prompts,
            "dataset": self._path,
            "revision": self._commit,
            "split": self._config.hub_split,
        } | self._reader.fingerprint()

    @cached_property
    def _commit(self) -> str | None:
        """The commit of the branch or tag now, since it may move later; None for a folder.

        A commit that is configured is not looked up.
        """
        revision = self._config.hub_revision
        if Path(self._path).exists() or (revision and COMMIT.fullmatch(revision)):
            return revision
        from huggingface_hub import HfApi

        try:
            return str(HfApi().dataset_info(self._path, revision=revision, timeout=20).sha)
        except hub_failures(ValueError) as error:
            text = hub_failure(error, self._path, "dataset", revision)
            text = f"{text}\nIf it was downloaded before, give its commit with --hub-revision."
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
        kept = {column, *COLUMNS_BESIDE}
        return dataset.select_columns([name for name in names if name in kept])

    def counts(self) -> Counts:
        """What asking a model for graphs cost since the last call of this method."""
        return self._reader.counts()

    def __call__(self) -> Iterator[Draft]:
        """The prompts in the dataset's order."""
        rows = enumerate(self._rows, start=1)
        drafts = (self._reader.read_record(record, number, self._path) for number, record in rows)
        return self._reader.add_graphs(drafts)
