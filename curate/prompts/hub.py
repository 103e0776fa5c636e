"""`hub`: prompts of a column of a data set on the Hub, or of a folder in its form."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from invdpo.curate.attempts import describe
from invdpo.curate.prompts.base import PROMPT_SOURCES, Draft
from invdpo.curate.prompts.records import BESIDE, Reader
from invdpo.schemas import ConfigError, DataError
from invdpo.schemas.config import PromptsConfig


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
        """Name, revision and split, and what reads them."""
        return {
            "source": self.name,
            "num_prompts": self._config.num_prompts,
            "dataset": self._path,
            "revision": self._config.hub_revision,
            "split": self._config.hub_split,
        } | self._reader.fingerprint()

    @cached_property
    def _rows(self) -> Any:
        import datasets

        try:
            found = datasets.load_dataset(
                self._path, split=self._config.hub_split, streaming=True,
                revision=self._config.hub_revision,
            )  # fmt: skip
        except Exception as error:
            text = f"{self._path}: split {self._config.hub_split!r} can't be opened"
            raise DataError(f"{text} ({describe(error)}).") from error
        names = found.column_names
        if names is None:
            return found
        column = self._reader.column(names, self._path)
        kept = {column, *BESIDE}
        return found.select_columns([name for name in names if name in kept])

    def __call__(self) -> Iterator[Draft]:
        """The prompts in the data set's order."""
        for number, record in enumerate(self._rows, start=1):
            yield self._reader.record(record, number, self._path)
