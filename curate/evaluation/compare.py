"""Compares two models: the same held-out prompts and seeds, the same steps, paired figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invdpo.curate import steps
from invdpo.curate.evaluation.statistics import Comparison, Interval, compare
from invdpo.curate.runner import RunOptions
from invdpo.curate.scorers.composition import wrong_facts
from invdpo.curate.workspace import Workspace
from invdpo.schemas import SceneGraph
from invdpo.schemas.config import Config
from invdpo.schemas.tables import Record

SCORE = "composition"
ALL_RIGHT = "composition_all_right"


@dataclass(frozen=True)
class EvaluatedModel:
    """A model as `generate` takes it."""

    model: str
    revision: str | None = None
    lora: str | None = None


@dataclass(frozen=True)
class Outcome:
    """The picture that one model generated for a prompt, and what the scorers say of it."""

    image: bytes | None
    seed: int
    figures: Mapping[str, float]
    """Scores and components, such as `composition_all_right`; empty when rejected."""
    wrong: tuple[str, ...]
    """Wrong facts in words, or why the picture was rejected."""

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


def evaluate_models(
    folder: Path, config: Config, base: EvaluatedModel, tuned: EvaluatedModel, options: RunOptions
) -> Evaluation:
    """Run prompts, generate, annotate and score for both models in `folder`/base and /tuned.

    `config.eval` sets the number of prompts and the seed; prompts of the embedded world are
    held-out ones, those of a file its first ones. Resumes like every step, and raises what the
    steps raise.
    """
    outcomes = [
        evaluate_model(Workspace(folder / name), config, model, options)
        for name, model in (("base", base), ("tuned", tuned))
    ]
    results = tuple(_results(*outcomes))
    return Evaluation(results, _comparisons(results))


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
    scorers = tuple(dict.fromkeys((SCORE, *config.score.scorers)))
    annotators = tuple(dict.fromkeys((config.score.annotator, *config.annotate.annotators)))
    return config.model_copy(
        update={
            "prompts": config.prompts.model_copy(update=prompts),
            "generate": config.generate.model_copy(update=generate),
            "annotate": config.annotate.model_copy(update={"annotators": annotators}),
            "score": config.score.model_copy(update={"scorers": scorers}),
        }
    )


def evaluate_model(
    ws: Workspace, config: Config, model: EvaluatedModel, options: RunOptions
) -> dict[str, tuple[str, Outcome]]:
    """Prompt id -> prompt and outcome, of one model on the evaluation's prompts."""
    config = _configure(config, model)
    steps.make_prompts(ws, config, options)
    steps.generate(ws, config, options)
    steps.annotate(ws, config, options)
    steps.score(ws, config, options)
    prompts = {row["prompt_id"]: row for row in ws.read_table(ws.prompts_path).to_pylist()}
    observed = _by_candidate(ws, ws.annotations_dir(config.score.annotator))
    scores = {name: _by_candidate(ws, ws.scores_dir(name)) for name in config.score.scorers}
    outcomes = {}
    for row in ws.read_table(ws.candidates_dir).to_pylist():
        prompt, name = prompts[row["prompt_id"]], row["candidate_id"]
        scored = {scorer: by_candidate[name] for scorer, by_candidate in scores.items()}
        outcome = _outcome(row, prompt["graph"], observed[name]["graph"], scored)
        outcomes[row["prompt_id"]] = (prompt["prompt"], outcome)
    return outcomes


def _by_candidate(ws: Workspace, folder: Path) -> dict[str, Record]:
    return {row["candidate_id"]: row for row in ws.read_table(folder).to_pylist()}


def _outcome(
    candidate: Record, graph: str | None, observed: str | None, scores: Mapping[str, Record]
) -> Outcome:
    figures: dict[str, float] = {}
    for scorer, row in scores.items():
        if row["score"] is not None:
            figures[scorer] = row["score"]
            figures |= {f"{scorer}_{name}": value for name, value in row["components"] or ()}
    if SCORE in figures and graph and observed:
        wrong = wrong_facts(SceneGraph.from_json(graph), SceneGraph.from_json(observed))
    else:
        wrong = [scores[SCORE]["error"] or "not judged"]
    image = (candidate["image"] or {}).get("bytes")
    return Outcome(image, candidate["seed"], figures, tuple(wrong))


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


def _judged(results: Sequence[Result], name: str) -> list[Result]:
    return [r for r in results if name in r.base.figures and name in r.tuned.figures]


def _columns(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
