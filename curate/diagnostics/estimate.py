"""What curation would generate, judge, ask, download and store, and how long, before it begins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from typing import Any

from invdpo.curate.annotate import Annotate
from invdpo.curate.annotators.vlm import VlmAnnotator
from invdpo.curate.batching import Model, ModelStage
from invdpo.curate.candidate import GRAPH, IMAGE, OBSERVED, PROMPT, Candidate
from invdpo.curate.checkpoints.model_files import ModelFiles, StoredModel, look_up, pipeline_files
from invdpo.curate.devices import for_each_device
from invdpo.curate.diagnostics.timing import (
    Timed,
    image_bytes,
    stored_bytes,
    time_drawing,
    time_judging,
)
from invdpo.curate.diagnostics.token_costs import TokenCosts, token_costs
from invdpo.curate.generate import Generate
from invdpo.curate.generators.sizes import sizes
from invdpo.curate.generators.specs import ModelSpec, model_specs
from invdpo.curate.inputs import CandidatePart
from invdpo.curate.prompts import collect
from invdpo.curate.prompts.base import selection
from invdpo.curate.prompts.fingerprint import without_asking
from invdpo.curate.prompts.vlm_parser import question
from invdpo.curate.runner import StepResult
from invdpo.curate.score import Score
from invdpo.curate.storage.parts import exists, list_parts, read_header, read_part
from invdpo.curate.storage.urls import is_remote
from invdpo.curate.workspace import Workspace
from invdpo.schemas import OfflineError
from invdpo.schemas.config import Config
from invdpo.schemas.io.files import free_bytes
from invdpo.schemas.tables import OK, Record

SAMPLES = 4
"""Images that judges are timed on, at most."""
NOT_HERE = "not timed: its weights are not on this machine"
SERVER = "not timed: it would send requests to a server"
NO_INPUT = "not timed: no image here has the inputs it needs"


@dataclass(frozen=True)
class StepEstimate:
    """Of what one step has still to do."""

    step: str
    images: int
    """Rows that it would make."""
    seconds_each: float | None = None
    """Of an image; None where it was not timed."""
    note: str = ""
    """Why it was not timed."""
    models: tuple[StoredModel, ...] = ()
    asking: TokenCosts | None = None

    @property
    def seconds(self) -> float | None:
        """Of all its images."""
        return None if self.seconds_each is None else self.images * self.seconds_each


@dataclass(frozen=True)
class CurationEstimate:
    """Of all steps that were asked for. Nothing was written, and no weights were fetched."""

    prompts: int
    steps: tuple[StepEstimate, ...]
    download_bytes: int | None
    """None when a model's size is not known."""
    image_bytes: int | None
    """On disk, of the images to be generated. None when none was generated to measure, and their
    size is the model's own."""
    free_bytes: int | None
    """None for a workspace on an object store."""
    seconds: float
    """Of the steps that were timed."""

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return asdict(self)


def estimate(
    ws: Workspace, config: Config, names: Sequence[str], results: Sequence[StepResult]
) -> CurationEstimate:
    """What the steps of these names would take; `results` are those of their dry run.

    Raises what a model that is here raises when it is called.
    """
    return _Estimator(ws, config, results).whole(names)


class _Estimator:
    """Goes from step to step: what one has generated, the next are timed on."""

    def __init__(self, ws: Workspace, config: Config, results: Sequence[StepResult]) -> None:
        self._ws, self._config = ws, config
        self._results = {result.step: result for result in results}
        self._rows: list[Record] | None = None
        self._image_bytes: int | None = 0

    def whole(self, names: Sequence[str]) -> CurationEstimate:
        steps = [step for name in names for step in self._steps(name)]
        models = {model.name: model for step in steps if step.images for model in step.models}
        missing = [model.missing_bytes for model in models.values()]
        return CurationEstimate(
            prompts=self._prompts,
            steps=tuple(steps),
            download_bytes=None if None in missing else sum(size or 0 for size in missing),
            image_bytes=self._image_bytes,
            free_bytes=None if is_remote(self._ws.root) else free_bytes(self._ws.root),
            seconds=sum(step.seconds or 0.0 for step in steps),
        )

    def _steps(self, name: str) -> Iterator[StepEstimate]:
        annotate, score = self._config.annotate, self._config.score
        if name == "prompts" and self._config.prompts.parser == "vlm":
            yield self._parsing()
        elif name == "generate":
            yield self._drawing()
        elif name == "annotate":
            of_annotate = for_each_device(annotate)
            for judge in dict.fromkeys(annotate.annotators):
                yield self._judging(Annotate(judge, of_annotate[0]), name, len(of_annotate))
        elif name == "score":
            of_score = for_each_device(score)
            for judge in dict.fromkeys(score.scorers):
                yield self._judging(Score(judge, of_score[0]), name, len(of_score))

    @property
    def _prompts(self) -> int:
        if made := self._results.get("prompts"):
            return made.planned or made.resumed
        return read_header(self._ws.prompts_path).rows

    def _planned(self, step: str) -> int:
        """Rows to be made; where the step could not be planned yet, one for each image."""
        if step in self._results:
            return self._results[step].planned
        if drawn := self._results.get("generate"):
            return drawn.planned + drawn.resumed
        return self._prompts * Generate(self._config.generate).fan_out

    def _parsing(self) -> StepEstimate:
        count = self._results["prompts"].planned
        prompt = self._first_prompt() if count else None
        asked = [question(prompt["prompt"])] if prompt else []
        costs = token_costs(self._config.prompts, count, asked)
        return StepEstimate("prompts", 0, note=SERVER, asking=costs)

    def _first_prompt(self) -> Record | None:
        """A usable one, from the table or else from its source, where nothing is asked."""
        if exists(self._ws.prompts_path):
            rows = read_part(self._ws.prompts_path).slice(0, SAMPLES).to_pylist()
        else:
            section = self._config.prompts
            source = without_asking(section)
            chosen = selection(section, asked=False)
            rows = collect(source(), source.name, SAMPLES, **chosen).rows
        return next((row for row in rows if row["status"] == OK), None)

    def _drawing(self) -> StepEstimate:
        count, config = self._planned("generate"), self._config.generate
        specs = model_specs(config)
        models = tuple(m for spec in specs for m in _look_up(partial(_files, spec)))
        wanted = sizes(config)
        by_size = round(stored_bytes(count, wanted)) if wanted else None
        self._image_bytes = by_size if count else 0
        if not count or not _all_here(models):
            return StepEstimate("generate", count, None, NOT_HERE if count else "", models)
        prompt = self._first_prompt()
        if prompt is None:
            return StepEstimate("generate", count, None, NO_INPUT, models)
        drawn = time_drawing(config, prompt)
        each = image_bytes(drawn.rows)
        self._image_bytes = None if each is None else round(each * count)
        self._rows = drawn.rows[:SAMPLES]
        return StepEstimate("generate", count, drawn.seconds, "", models)

    def _judging(self, stage: ModelStage[Any], kind: str, devices: int) -> StepEstimate:
        step, model = f"{kind} {stage.name}", stage.model
        count = self._planned(step)
        models = _look_up(model.model_files)
        if not count:
            return StepEstimate(step, 0, models=models)
        if model.asks_server:
            return StepEstimate(step, count, None, SERVER, models, self._asking(model, count))
        if not _all_here(models):
            return StepEstimate(step, count, None, NOT_HERE, models)
        timed = time_judging(stage, self._candidates())
        if timed is None:
            return StepEstimate(step, count, None, NO_INPUT, models)
        if kind == "annotate" and stage.name == self._config.score.annotator:
            self._observe(timed)
        return StepEstimate(step, count, timed.seconds / devices, "", models)

    def _asking(self, model: Model[Any], count: int) -> TokenCosts | None:
        if not isinstance(model, VlmAnnotator):
            return None
        candidates = map(Candidate, self._candidates())
        fit = [c for c in candidates if c.problem(model.needs) is None]
        return token_costs(self._config.annotate, count, list(map(model.question, fit)))

    def _observe(self, timed: Timed) -> None:
        """Let scorers compare the graphs that were just read."""
        self._rows = [
            row | {OBSERVED: answer["graph"], "observed_error": answer["error"]}
            for row, answer in zip(self._candidates(), timed.rows, strict=True)
        ]

    def _candidates(self) -> list[Record]:
        """Rows of some candidates: those just generated, or else those of the workspace."""
        if self._rows is None:
            parts = list_parts(self._ws.candidates_dir)
            self._rows = list(self._stored(parts[0].name)) if parts else []
        return self._rows

    def _stored(self, name: str) -> Iterator[Record]:
        annotations = self._ws.annotations_dir(self._config.score.annotator) / name
        part = CandidatePart(
            self._ws.candidates_dir / name,
            0,
            self._ws.prompts_path,
            annotations if exists(annotations) else None,
        )
        rows = (dict(candidate.row) for candidate in part.rows({IMAGE, PROMPT, GRAPH, OBSERVED}))
        return islice((row for row in rows if row["status"] == OK), SAMPLES)


def _files(spec: ModelSpec) -> Sequence[ModelFiles]:
    """Of the pipeline. Raises `OfflineError` also for want of a LoRA."""
    _ = spec.revision
    return [pipeline_files(spec.model)]


def _look_up(files: Callable[[], Sequence[ModelFiles]]) -> tuple[StoredModel, ...]:
    """The models of these files; the first that nothing is known of where the Hub is wanted."""
    try:
        return tuple(map(look_up, files()))
    except OfflineError as error:
        return (StoredModel(error.repo_id, None, None),)


def _all_here(models: Collection[StoredModel]) -> bool:
    return all(model.missing_bytes == 0 for model in models)
