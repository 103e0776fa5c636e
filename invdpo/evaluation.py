"""Tuned models against their base, from the folders that trainings left: figures, pages, file."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invdpo.configuration import Given, layers, read_config
from invdpo.schemas import ConfigError
from invdpo.schemas.config import Config
from invdpo.tuned_models import Note, find_models, with_checkpoints, with_text_length

if TYPE_CHECKING:
    from invdpo.curate.evaluation.results import Evaluation
    from invdpo.curate.runner import RunOptions

log = logging.getLogger("invdpo.eval")

GRID = 12
"""Prompts in the grid of images."""


@dataclass(frozen=True)
class Request:
    """What is compared, and what is written."""

    tuned: Sequence[Path]
    """What trainings wrote: LoRAs (folders or files) or the folders of models."""
    options: RunOptions
    output: Path | None = None
    """Folder for what is written; `evaluation` beside the weights when None."""
    checkpoints: bool = False
    """Whether each one's checkpoints are compared as well."""
    export: str | None = None
    """Benchmark for whose judges the images are written, too."""


@dataclass(frozen=True)
class Comparisons:
    """The evaluations, and where they were written."""

    folder: Path
    base: str
    evaluations: Sequence[Evaluation]
    held_out: str | None
    exported: Mapping[str, str]

    @property
    def page(self) -> Path:
        """The models side by side, in HTML."""
        return self.folder / "index.html"

    @property
    def results(self) -> Path:
        """One row for each model, prompt and image, in Parquet."""
        return self.folder / "results.parquet"

    @property
    def grids(self) -> list[Path]:
        """The first images, base beside tuned, of each tuned model."""
        numbers = range(1, len(self.evaluations) + 1)
        return [self.folder / f"grid{f'-{n}' if n > 1 else ''}.png" for n in numbers]

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        every = self.evaluations
        data = {
            "folder": str(self.folder),
            "page": str(self.page),
            "grid": str(self.grids[0]),
            "results": str(self.results),
            "base": self.base,
            "tuned": [one.tuned for one in every],
            "workspaces": {one.workspace: one.tuned for one in every},
            "held_out": self.held_out,
            "figures": [{"model": one.tuned} | row for one in every for row in one.rows()],
            "categories": [
                {"model": one.tuned} | row for one in every for row in one.category_rows()
            ],
            "notes": list(dict.fromkeys(note for one in every for note in one.notes)),
        }
        return data | ({"export": dict(self.exported)} if self.exported else {})


def evaluate(
    tuned: str | Path,
    output: str | Path | None = None,
    config: Given = None,
    *,
    preset: str | None = None,
    progress: bool = True,
) -> Evaluation:
    """Compare a tuned model with its base on held-out prompts; what `invdpo eval` does.

    Images and figures go into `output`, or `evaluation` in the folder of the weights. Raises what
    the steps raise, and `DataError` when nothing could be judged.
    """
    from invdpo.curate.runner import RunOptions

    files, given = layers(config)
    whole, own = read_config((), preset, files, given), read_config((), None, files, given)
    command = f"invdpo eval {shlex.quote(str(tuned))}"
    folder, options = Path(output) if output else None, RunOptions(progress=progress)
    request = Request([Path(tuned)], options, folder)
    found = compare_with_base(request, whole, own, command, note=log.warning)
    return found.evaluations[0]


def compare_with_base(
    request: Request, config: Config, own: Config, command: str, *, note: Note
) -> Comparisons:
    """Evaluate the models and write pages, images and figures.

    `own` is the part of `config` that this call gives, without a preset; `command` is what the
    user typed, for refusals; `note` is called with what the user should know.
    """
    from invdpo.curate.evaluation.benchmark_folders import export_images, find_export
    from invdpo.curate.evaluation.compare import compare_models, lock_evaluation

    paths = with_checkpoints(request.tuned) if request.checkpoints else request.tuned
    base, models = find_models(config, own, list(dict.fromkeys(paths)), note)
    folder, export = request.output or _default_folder(paths), request.export
    _check_held_out(config)
    config = with_text_length(config, paths)
    write = find_export(export, config.prompts) if export else None
    with lock_evaluation(folder):
        evaluations = compare_models(folder, config, base, models, request.options, command)
        exported: Mapping[str, str] = {}
        if export and write:
            exported = export_images(folder / export, write, base.name, evaluations)
        found = Comparisons(folder, base.name, evaluations, config.eval.held_out, exported)
        _write(found)
    return found


def _check_held_out(config: Config) -> None:
    name, scorers = config.eval.held_out, config.score.scorers
    if name is not None and name not in scorers:
        raise ConfigError(
            f"eval.held_out: found {name}, which is not among the scorers: {', '.join(scorers)}. "
            f"Name one of them, or add it: --scorers {','.join([*scorers, name])}"
        )


def _default_folder(paths: Sequence[Path]) -> Path:
    """Of several checkpoints that of their training."""
    first = paths[0] if paths[0].is_dir() else paths[0].parent
    of_training = len(paths) > 1 and first.parent.name == "checkpoints"
    return (first.parents[1] if of_training else first) / "evaluation"


def _write(found: Comparisons) -> None:
    from invdpo.curate.evaluation.grid import write_grid
    from invdpo.curate.evaluation.page_content import page_of
    from invdpo.curate.evaluation.results_table import write_results
    from invdpo.curate.report.evaluation_page import write_evaluation_page
    from invdpo.curate.storage.atomic import replacing

    for stale in {*found.folder.glob("grid-*.png")}.difference(found.grids):
        stale.unlink()  # of a model that is not on the page any more
    for grid, evaluation in zip(found.grids, found.evaluations, strict=True):
        write_grid(grid, [r for r in evaluation.results if r.number == 0][:GRID])
    write_results(found.results, found.base, found.evaluations)
    page = page_of(found.folder.resolve().name, found.base, found.evaluations, found.held_out)
    write_evaluation_page(page, found.page)
    with replacing(found.folder / "evaluation.json") as temporary:
        temporary.write_text(json.dumps(found.to_dict(), indent=1), encoding="utf-8")
