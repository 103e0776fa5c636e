"""A workspace in Python: the steps of the command line, tables as data frames, pairs to look at."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from invdpo.configuration import Given, layers, read_config
from invdpo.schemas import ConfigError
from invdpo.schemas.config import Config

if TYPE_CHECKING:
    from pandas import DataFrame

    from invdpo.curate import workspace as tables
    from invdpo.curate.report.notebook import PairCard
    from invdpo.curate.runner import RunOptions, StepResult

STEPS = ("prompts", "generate", "annotate", "score", "pair")
"""In the order in which they run; each needs the previous ones."""


class Workspace:
    """A folder of prompts, candidates, graphs, scores and pairs, local or on an object store.

    `config` overrides the workspace's own `invdpo.yaml`, or the preset that replaces it, as
    `--config` and flags do; nothing is written before a step runs. Raises `ConfigError`. Options of
    the folder that only the user may decide on are refused by the steps that would use them.
    """

    def __init__(
        self, folder: str | Path, config: Given = None, *, preset: str | None = None
    ) -> None:
        from invdpo.curate.workspace import Workspace as Tables

        self._tables: tables.Workspace = Tables(folder)
        self._files, self._given = layers(config)
        self._preset = preset
        self._read_config(())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"

    @property
    def folder(self) -> Path:
        """The folder itself."""
        return self._tables.root

    @property
    def dataset(self) -> Path:
        """The dataset that the last step writes, the input of `invdpo.train`."""
        return self._tables.dataset_dir

    @property
    def config(self) -> Config:
        """The configuration that the next step would use."""
        return self._read_config(())

    def run(
        self,
        *steps: str,
        engine: str = "local",
        part_size: int | None = None,
        repair: bool = False,
        retry_rejected: bool = False,
        overwrite: bool = False,
        progress: bool = True,
    ) -> list[StepResult]:
        """Run these steps, or all five if none is given; finished work is not repeated.

        The options are those of `invdpo curate`. Raises what the steps raise.
        """
        from invdpo.curate.runner import RunOptions
        from invdpo.curate.steps import check

        names = steps or STEPS
        if unknown := [name for name in names if name not in STEPS]:
            raise ConfigError(f"step: found {unknown[0]!r}; allowed: {', '.join(STEPS)}.")
        config = self._read_config(names)
        options = RunOptions(
            repair=repair,
            retry_rejected=retry_rejected,
            overwrite=overwrite,
            engine=engine,
            part_size=part_size,
            progress=progress,
        )
        if len(names) > 1:
            command = f"invdpo curate run {shlex.quote(str(self.folder))}"
            check(self._tables, config, options, names, command)
        return [r for name in names for r in run_step(name, self._tables, config, options)]

    def scores(self) -> DataFrame:
        """One row per candidate: its prompt, and of every scorer the raw score, parts and error."""
        from invdpo.frames import score_frame

        return score_frame(self._tables)

    def annotations(self) -> DataFrame:
        """One row per candidate: its prompt, the graph asked for, and every annotator's graph."""
        from invdpo.frames import annotation_frame

        return annotation_frame(self._tables)

    def pairs(self) -> DataFrame:
        """One row per pair: its prompt, margin and split, and the scores of both sides."""
        from invdpo.frames import pair_frame

        return pair_frame(self._tables)

    def show(self, pair_id: str) -> PairCard:
        """A pair for a notebook: both images, the prompt, facts and scores.

        Raises `DataError` for an id that no pair has.
        """
        from invdpo.curate.report.notebook import pair_card

        return pair_card(self._tables, pair_id, self.config.score.annotator)

    def _read_config(self, steps: Sequence[str]) -> Config:
        """The configuration for these steps."""
        from invdpo.options import flags

        sections = [*steps, *(["dataset"] if "pair" in steps else [])]
        used = {(flag.section, flag.field) for flag in flags(sections)}
        file = self._tables.config_path
        return read_config([file], self._preset, self._files, self._given, used)


def run_step(
    name: str, ws: tables.Workspace, config: Config, options: RunOptions
) -> list[StepResult]:
    """Run one of `STEPS`; one result per table."""
    from invdpo.curate import steps

    function = steps.make_prompts if name == "prompts" else getattr(steps, name)
    results = function(ws, config, options)
    return results if isinstance(results, list) else [results]


def run_steps(
    names: Sequence[str],
    ws: tables.Workspace,
    config: Config,
    options: RunOptions,
    note: Callable[[str], None],
) -> list[StepResult]:
    """Run some of `STEPS`; after each, `note` is called with what the user should know of it."""
    results: list[StepResult] = []
    for name in names:
        finished = run_step(name, ws, config, options)
        results += finished
        for message in (message for result in finished for message in result.messages()):
            note(message)
    return results
