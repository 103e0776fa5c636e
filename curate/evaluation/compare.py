"""Compares two models: the same held-out prompts and seeds, the same stages, paired figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invdpo.curate import steps
from invdpo.curate.evaluation.statistics import Comparison, Interval, compare, wilson
from invdpo.curate.runner import RunOptions
from invdpo.curate.scorers.composition import wrong_facts
from invdpo.curate.workspace import Workspace
from invdpo.schemas import SceneGraph
from invdpo.schemas.config import Config
from invdpo.schemas.tables import Record

__all__ = [
    "Comparison",
    "EvaluatedModel",
    "Evaluation",
    "Interval",
    "Outcome",
    "Result",
    "compare",
    "evaluate_models",
    "judge",
    "wilson",
]

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
    """What one model made of a prompt."""

    image: bytes | None
    seed: int
    figures: Mapping[str, float]
    """Scores and components, such as `composition_all_right`; empty when rejected."""
    wrong: tuple[str, ...]
    """Wrong facts in plain words, or why the picture was rejected."""

    @property
    def right(self) -> bool:
        """Whether every fact holds; a picture that was rejected is not right."""
        return self.figures.get(ALL_RIGHT) == 1.0


@dataclass(frozen=True)
class Result:
    """One prompt before both models."""

    prompt_id: str
    prompt: str
    base: Outcome
    tuned: Outcome


@dataclass(frozen=True)
class Evaluation:
    """All prompts, and the figures over them."""

    results: tuple[Result, ...]
    comparisons: Mapping[str, Comparison]
    """By figure: `composition_all_right` (share of prompts exactly right) first."""

    @property
    def accuracy(self) -> Comparison:
        """Share of prompts exactly right."""
        return self.comparisons[ALL_RIGHT]

    def rows(self) -> list[dict[str, Any]]:
        """One row a figure, for a table: values with their 95 % intervals."""
        return [
            {
                "figure": name,
                "prompts": len(self.results),
                **_columns("base", found.base),
                **_columns("tuned", found.tuned),
                **_columns("difference", found.difference),
                "better": found.better,
                "worse": found.worse,
                "p_value": found.p_value,
            }
            for name, found in self.comparisons.items()
        ]


def evaluate_models(
    folder: Path, config: Config, base: EvaluatedModel, tuned: EvaluatedModel, options: RunOptions
) -> Evaluation:
    """Run prompts, generate, annotate and score for both models in `folder`/base and /tuned.

    `config.eval` says how many prompts and which seed; prompts of the embedded world are held-out
    ones, of a file its first ones. Resumes like every step. Raises what the steps raise.
    """
    sides = [
        judge(Workspace(folder / name), config, spec, options)
        for name, spec in (("base", base), ("tuned", tuned))
    ]
    results = tuple(_results(*sides))
    return Evaluation(results, _comparisons(results))


def _config(config: Config, spec: EvaluatedModel) -> Config:
    """The configuration of one side: one candidate a prompt, the evaluation's seed."""
    held = {"num_prompts": config.eval.num_prompts, "seed": config.eval.seed, "split": "heldout"}
    model = {
        "model": spec.model,
        "revision": spec.revision,
        "lora": spec.lora,
        "models": (),
        "loras": (),
    }
    one = {"num_candidates": 1, "seed": config.eval.seed}
    scorers = tuple(dict.fromkeys((SCORE, *config.score.scorers)))
    annotators = tuple(dict.fromkeys((config.score.annotator, *config.annotate.annotators)))
    return config.model_copy(
        update={
            "prompts": config.prompts.model_copy(update=held),
            "generate": config.generate.model_copy(update=model | one),
            "annotate": config.annotate.model_copy(update={"annotators": annotators}),
            "score": config.score.model_copy(update={"scorers": scorers}),
        }
    )


def judge(
    ws: Workspace, config: Config, spec: EvaluatedModel, options: RunOptions
) -> dict[str, tuple[str, Outcome]]:
    """What one model makes of the evaluation's prompts: prompt and outcome by prompt id."""
    config = _config(config, spec)
    steps.make_prompts(ws, config, options)
    steps.generate(ws, config, options)
    steps.annotate(ws, config, options)
    steps.score(ws, config, options)
    prompts = {row["prompt_id"]: row for row in ws.read_table(ws.prompts_path).to_pylist()}
    seen = _by_candidate(ws, ws.annotations_dir(config.score.annotator))
    scores = {name: _by_candidate(ws, ws.scores_dir(name)) for name in config.score.scorers}
    outcomes = {}
    for row in ws.read_table(ws.candidates_dir).to_pylist():
        prompt, name = prompts[row["prompt_id"]], row["candidate_id"]
        judged = {scorer: found[name] for scorer, found in scores.items()}
        outcome = _outcome(row, prompt["graph"], seen[name]["graph"], judged)
        outcomes[row["prompt_id"]] = (prompt["prompt"], outcome)
    return outcomes


def _by_candidate(ws: Workspace, folder: Path) -> dict[str, Record]:
    return {row["candidate_id"]: row for row in ws.read_table(folder).to_pylist()}


def _outcome(
    candidate: Record, graph: str | None, observed: str | None, judged: Mapping[str, Record]
) -> Outcome:
    figures: dict[str, float] = {}
    for scorer, row in judged.items():
        if row["score"] is not None:
            figures[scorer] = row["score"]
            figures |= {f"{scorer}_{name}": value for name, value in row["components"] or ()}
    if SCORE in figures and graph and observed:
        wrong = wrong_facts(SceneGraph.from_json(graph), SceneGraph.from_json(observed))
    else:
        wrong = [judged[SCORE]["error"] or "not judged"]
    image = (candidate["image"] or {}).get("bytes")
    return Outcome(image, candidate["seed"], figures, tuple(wrong))


def _results(
    base: Mapping[str, tuple[str, Outcome]], tuned: Mapping[str, tuple[str, Outcome]]
) -> Iterator[Result]:
    for prompt_id, (prompt, outcome) in base.items():
        if prompt_id in tuned:
            yield Result(prompt_id, prompt, outcome, tuned[prompt_id][1])


def _comparisons(results: tuple[Result, ...]) -> dict[str, Comparison]:
    """Accuracy over all prompts; other figures over those that both models have one for."""
    right = compare([float(r.base.right) for r in results], [float(r.tuned.right) for r in results])
    comparisons = {ALL_RIGHT: right}
    for name in dict.fromkeys(name for r in results for name in r.base.figures):
        both = [r for r in results if name in r.base.figures and name in r.tuned.figures]
        if both and name != ALL_RIGHT:
            values = [[getattr(r, s).figures[name] for r in both] for s in ("base", "tuned")]
            comparisons[name] = compare(*values)
    return comparisons


def _columns(name: str, found: Interval) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
