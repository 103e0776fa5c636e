"""Compares two models: the same held-out prompts and seeds, the same steps, paired figures."""

from __future__ import annotations

import logging
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from invdpo.curate import steps
from invdpo.curate.annotators.judges import (
    check_judges,
    reads_graphs,
    require_choice,
    unchosen,
    whole_commands,
)
from invdpo.curate.evaluation.preparation import COMPOSITION, TrainingPrompts, choose_judges
from invdpo.curate.evaluation.statistics import Comparison, Interval, compare
from invdpo.curate.runner import RunOptions
from invdpo.curate.scorers.composition import wrong_facts
from invdpo.curate.storage.cuts import count_cut, cut_note
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError, SceneGraph
from invdpo.schemas.config import Config
from invdpo.schemas.io.lock import FolderLock
from invdpo.schemas.tables import Record

log = logging.getLogger("invdpo.curate")

ALL_RIGHT = f"{COMPOSITION}_all_right"
SIGNS = ("evaluation.json", "tuned/invdpo.yaml", "tuned/prompts.parquet")
"""What the folder of an evaluation has from its beginning on."""


@dataclass(frozen=True)
class EvaluatedModel:
    """A model as `generate` takes it."""

    model: str
    revision: str | None = None
    lora: str | None = None

    @property
    def location(self) -> str:
        """What was given for it: the LoRA, or else the model."""
        return self.lora or self.model


@dataclass(frozen=True)
class Outcome:
    """The picture that one model generated for a prompt, and what the scorers say of it."""

    image: bytes | None
    seed: int
    figures: Mapping[str, float]
    """Scores and components, such as `composition_all_right`; empty when rejected."""
    wrong: tuple[str, ...]
    """Wrong facts in words, or why they are not known."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """Scorer -> why it gave no score."""

    @property
    def judged(self) -> bool:
        """Whether it is known how many facts hold; not so for a picture that was rejected."""
        return ALL_RIGHT in self.figures

    @property
    def right(self) -> bool:
        """Whether every fact holds; that of a rejected picture is not known."""
        return self.figures.get(ALL_RIGHT) == 1.0


@dataclass(frozen=True)
class Result:
    """The outcomes of both models for one prompt."""

    prompt_id: str
    prompt: str
    base: Outcome
    tuned: Outcome


@dataclass(frozen=True)
class Evaluation:
    """All prompts, and the figures over them."""

    results: tuple[Result, ...]
    comparisons: Mapping[str, Comparison]
    """By figure: `composition_all_right`, the share of prompts that are exactly right, first."""
    notes: tuple[str, ...] = ()
    """What could not be judged and what the prompts are, in plain sentences."""

    def rows(self) -> list[dict[str, Any]]:
        """One row a figure, for a table: values with their 95 % intervals."""
        return [
            {
                "figure": name,
                "prompts": len(_judged(self.results, name)),
                **_columns("base", comparison.base),
                **_columns("tuned", comparison.tuned),
                **_columns("difference", comparison.difference),
                "better": comparison.better,
                "worse": comparison.worse,
                "p_value": comparison.p_value,
            }
            for name, comparison in self.comparisons.items()
        ]


def lock_evaluation(folder: Path) -> FolderLock:
    """What keeps other evaluations out of `folder`, and this one out of others; may be nested."""
    return FolderLock(folder, "evaluating there", signs=SIGNS)


def evaluate_models(
    folder: Path,
    config: Config,
    base: EvaluatedModel,
    tuned: EvaluatedModel,
    options: RunOptions,
    trained_on: TrainingPrompts | None = None,
    command: str | None = None,
) -> Evaluation:
    """Run prompts, generate, annotate and score for both models in `folder`/base and /tuned.

    `config.eval` sets the number of prompts and the seed; prompts of the embedded world are
    held-out ones, those of a file its first ones. Judges are checked before anything is drawn, and
    the tuned model is the first to draw, as it is the likelier one not to fit. Resumes like every
    step, and raises what the steps raise, and `DataError` when nothing can be judged. `command` is
    what the user typed, for a refusal.
    """
    with lock_evaluation(folder):
        _require_judges(config, base, tuned, command)
        spaces = {name: Workspace(folder / name) for name in ("tuned", "base")}
        for ws in spaces.values():
            steps.make_prompts(ws, _configure(config, base), options)
        prompts = spaces["base"].read_table(spaces["base"].prompts_path).to_pylist()
        config, notes = choose_judges(config, base.model, prompts)
        if trained_on and (leak := trained_on.leak(row["prompt"] or "" for row in prompts)):
            notes.append(leak)
        for note in notes:
            log.warning(note)
        judging = ["annotate", "score"] if reads_graphs(config) else ["score"]
        check_judges(_configure(config, base), judging)
        in_tuned = evaluate_model(spaces["tuned"], config, tuned, options)
        in_base = evaluate_model(spaces["base"], config, base, options)
        cut = cut_notes(spaces["base"], config.score.scorers)
    for note in cut:
        log.warning(note)
    return _compared(tuple(_results(in_base, in_tuned)), config.score.scorers, [*notes, *cut])


def _require_judges(
    config: Config, base: EvaluatedModel, tuned: EvaluatedModel, command: str | None
) -> None:
    """Raise `ConfigError` for judges of the embedded world that nobody chose for these images."""
    if left_open := unchosen(config, ["score"]):
        typed = command or f"invdpo eval {shlex.quote(tuned.location)}"
        chosen = "source" in config.prompts.model_fields_set
        commands = whole_commands(typed, [base.model], prompts_chosen=chosen)
        require_choice([base.model], left_open, *commands)


def _compared(
    results: tuple[Result, ...], scorers: Sequence[str], notes: Sequence[str]
) -> Evaluation:
    """The figures, and notes on what was not judged. Raises `DataError` when nothing was."""
    comparisons, unjudged = _comparisons(results), [*_unjudged(results, scorers)]
    if not comparisons:
        raise DataError("\n".join(["No prompt could be judged in the images of both.", *unjudged]))
    for note in unjudged:
        log.warning(note)
    return Evaluation(results, comparisons, (*notes, *unjudged))


def _configure(config: Config, model: EvaluatedModel) -> Config:
    """The configuration of one model: one candidate a prompt, the evaluation's seed."""
    prompts = {"num_prompts": config.eval.num_prompts, "seed": config.eval.seed, "split": "heldout"}
    generate = {
        "model": model.model,
        "revision": model.revision,
        "lora": model.lora,
        "models": (),
        "loras": (),
        "num_candidates": 1,
        "seed": config.eval.seed,
    }
    judges = {name: getattr(config.score, name) for name in ("annotator", "clip_model")}
    return config.model_copy(
        update={
            "prompts": config.prompts.model_copy(update=prompts),
            "generate": config.generate.model_copy(update=generate),
            "annotate": config.annotate.model_copy(update={"annotators": (judges["annotator"],)}),
            "score": config.score.model_copy(update=judges),  # which makes them chosen
        }
    )


def evaluate_model(
    ws: Workspace, config: Config, model: EvaluatedModel, options: RunOptions
) -> dict[str, tuple[str, Outcome]]:
    """Prompt id -> prompt and outcome, of one model on the evaluation's prompts."""
    config = _configure(config, model)
    steps.make_prompts(ws, config, options)
    steps.generate(ws, config, options)
    observed = {}
    if reads_graphs(config):
        steps.annotate(ws, config, options)
        observed = _by_candidate(ws, ws.annotations_dir(config.score.annotator))
    steps.score(ws, config, options)
    prompts = {row["prompt_id"]: row for row in ws.read_table(ws.prompts_path).to_pylist()}
    scores = {name: _by_candidate(ws, ws.scores_dir(name)) for name in config.score.scorers}
    outcomes = {}
    for row in ws.read_table(ws.candidates_dir).to_pylist():
        prompt, name = prompts[row["prompt_id"]], row["candidate_id"]
        scored = {scorer: by_candidate[name] for scorer, by_candidate in scores.items()}
        seen = observed.get(name, {}).get("graph")
        outcome = _outcome(row, prompt["graph"], seen, scored)
        outcomes[row["prompt_id"]] = (prompt["prompt"], outcome)
    return outcomes


def cut_notes(ws: Workspace, scorers: Sequence[str]) -> list[str]:
    """What to say of prompts that were too long for the model, and for each scorer."""
    tables = {"generate": ws.candidates_dir, **{name: ws.scores_dir(name) for name in scorers}}
    numbers = {name: count_cut(folder) for name, folder in tables.items()}
    return [f"{name}: {cut_note(number)}." for name, number in numbers.items() if number]


def _by_candidate(ws: Workspace, folder: Path) -> dict[str, Record]:
    return {row["candidate_id"]: row for row in ws.read_table(folder).to_pylist()}


def _outcome(
    candidate: Record, graph: str | None, observed: str | None, scores: Mapping[str, Record]
) -> Outcome:
    figures: dict[str, float] = {}
    errors = {n: row["error"] or "no score" for n, row in scores.items() if row["score"] is None}
    for scorer, row in scores.items():
        if row["score"] is not None:
            figures[scorer] = row["score"]
            figures |= {f"{scorer}_{name}": value for name, value in row["components"] or ()}
    if COMPOSITION in figures and graph and observed:
        wrong = wrong_facts(SceneGraph.from_json(graph), SceneGraph.from_json(observed))
    else:
        wrong = [errors[COMPOSITION]] if COMPOSITION in errors else []
    image = (candidate["image"] or {}).get("bytes")
    return Outcome(image, candidate["seed"], figures, tuple(wrong), errors)


def _results(
    base: Mapping[str, tuple[str, Outcome]], tuned: Mapping[str, tuple[str, Outcome]]
) -> Iterator[Result]:
    for prompt_id, (prompt, outcome) in base.items():
        if prompt_id in tuned:
            yield Result(prompt_id, prompt, outcome, tuned[prompt_id][1])


def _comparisons(results: tuple[Result, ...]) -> dict[str, Comparison]:
    """Each figure over the prompts that both models have it for: a refused image is not wrong."""
    comparisons = {}
    for name in dict.fromkeys((ALL_RIGHT, *(name for r in results for name in r.base.figures))):
        if both := _judged(results, name):
            values = [[getattr(r, s).figures[name] for r in both] for s in ("base", "tuned")]
            comparisons[name] = compare(*values)
    return comparisons


def _unjudged(results: Sequence[Result], scorers: Sequence[str]) -> Iterator[str]:
    """For each scorer how many prompts it judged in both images, unless all, and why not more."""
    for name in scorers:
        errors = [r.tuned.errors.get(name) or r.base.errors.get(name) for r in results]
        reasons = Counter(error for error in errors if error)
        if reasons:
            why = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
            judged = len(_judged(results, name))
            yield f"{name} judged {judged} of {len(results)} prompts in both images: {why}."


def _judged(results: Sequence[Result], name: str) -> list[Result]:
    return [r for r in results if name in r.base.figures and name in r.tuned.figures]


def _columns(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
