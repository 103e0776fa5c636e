"""Compares models with one base: the same held-out prompts, seeds and steps, paired figures."""

from __future__ import annotations

import logging
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from invdpo.curate import steps
from invdpo.curate.annotators.judges import (
    check_judges,
    reads_graphs,
    require_choice,
    unchosen,
    whole_commands,
)
from invdpo.curate.evaluation.models import (
    EvaluatedModel,
    configure,
    seed_folders,
    tuned_workspaces,
)
from invdpo.curate.evaluation.preparation import COMPOSITION, TrainingPrompts, choose_judges
from invdpo.curate.evaluation.results import (
    BASE,
    TUNED,
    Evaluation,
    Outcome,
    Result,
    StoredImage,
    evaluate_results,
)
from invdpo.curate.runner import RunOptions
from invdpo.curate.scorers.composition import wrong_facts
from invdpo.curate.storage.parts import read_part
from invdpo.curate.workspace import Workspace
from invdpo.schemas import SceneGraph
from invdpo.schemas.config import Config
from invdpo.schemas.io.lock import FolderLock
from invdpo.schemas.tables import Record

log = logging.getLogger("invdpo.curate")

SIGNS = (
    "evaluation.json",
    *(f"{side}/{name}" for side in (BASE, TUNED) for name in ("invdpo.yaml", "prompts.parquet")),
)
"""What the folder of an evaluation has from its beginning on."""
COLUMNS = ["candidate_id", "prompt_id", "seed", "status"]
"""What is read of candidates at once; their images are read when they are needed."""
Outcomes = dict[tuple[str, int], Outcome]
"""By prompt id and seed of the image."""


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
    """`compare_models` with a single tuned model."""
    models = [replace(tuned, trained_on=trained_on)]
    return compare_models(folder, config, base, models, options, command)[0]


def compare_models(
    folder: Path,
    config: Config,
    base: EvaluatedModel,
    tuned: Sequence[EvaluatedModel],
    options: RunOptions,
    command: str | None = None,
) -> list[Evaluation]:
    """Run prompts, generate, annotate and score for all models in `folder`; one result each.

    `config.eval` sets the numbers of prompts and images, and the seeds; prompts of the embedded
    world are held-out ones, those of a file its first ones. Judges are checked before anything is
    generated; the tuned models come first, as they are likelier not to fit. What is
    there is not generated again. Raises what the steps raise, and `DataError` when nothing can be
    judged. `command` is what the user typed, for a refusal.
    """
    with lock_evaluation(folder):
        _require_judges(config, base, tuned, command)
        own = Workspace(folder / BASE)
        made = steps.make_prompts(own, configure(config, base, config.eval.seed), options)
        prompts = own.read_table(own.prompts_path).to_pylist()
        config, notes = choose_judges(config, base.model, prompts)
        notes = [*(f"{text}." for text in made.messages()), *notes, *_guidance_note(config, base)]
        leaks = [_leak(model, prompts) for model in tuned]
        for note in [*notes, *dict.fromkeys(filter(None, leaks))]:
            log.warning(note)
        judging = ["annotate", "score"] if reads_graphs(config) else ["score"]
        check_judges(configure(config, base, config.eval.seed), judging)
        (*in_tuned, in_base), (*said, of_base) = _outcomes(folder, config, [*tuned, base], options)
        first = next(iter(seed_folders(folder, config).values()))
        names = [ws.root.name for ws in tuned_workspaces(first, tuned)]
    evaluations = []
    for model, name, leak, outcomes, told in zip(tuned, names, leaks, in_tuned, said, strict=True):
        results = tuple(_results(prompts, in_base, outcomes))
        own_notes = [
            *notes,
            *filter(None, [leak]),
            *_notes_on(model.name, told, base.name, of_base),
        ]
        scorers = config.score.scorers
        evaluations.append(evaluate_results(results, scorers, own_notes, model.name, name))
    later = (note for evaluation in evaluations for note in evaluation.notes)
    for note in dict.fromkeys(note for note in later if note not in {*notes, *leaks}):
        log.warning(note)
    return evaluations


def _require_judges(
    config: Config, base: EvaluatedModel, tuned: Sequence[EvaluatedModel], command: str | None
) -> None:
    """Raise `ConfigError` for judges of the embedded world that nobody chose for these images."""
    if left_open := unchosen(config, ["score"]):
        locations = shlex.join(model.location for model in tuned)
        typed = command or f"invdpo eval {locations}"
        chosen = "source" in config.prompts.model_fields_set
        commands = whole_commands(typed, [base.model], prompts_chosen=chosen)
        require_choice([base.model], left_open, *commands)


def _guidance_note(config: Config, base: EvaluatedModel) -> list[str]:
    """Told with the figures, since the choice of the scale decides how large a gain looks."""
    own, others = base.guidance_scale, config.generate.guidance_scale
    if own is None or own == others:
        return []
    return [f"Guidance: {own:g} for the base model, {others:g} for the tuned ones."]


def _leak(model: EvaluatedModel, prompts: Sequence[Record]) -> str | None:
    texts = (row["prompt"] or "" for row in prompts)
    return model.trained_on.leak(texts) if model.trained_on else None


def _outcomes(
    folder: Path, config: Config, models: Sequence[EvaluatedModel], options: RunOptions
) -> tuple[list[Outcomes], list[list[str]]]:
    """The outcomes of each model, of all seeds, and the notes on its images; the base is last."""
    outcomes: list[Outcomes] = [{} for _ in models]
    said: list[list[str]] = [[] for _ in models]
    for seed, place in seed_folders(folder, config).items():
        spaces = [*tuned_workspaces(place, models[:-1]), Workspace(place / BASE)]
        for model, ws, known, notes in zip(models, spaces, outcomes, said, strict=True):
            known |= evaluate_model(ws, config, model, options, seed, notes.append)
    return outcomes, said


def _notes_on(model: str, own: Sequence[str], base: str, of_base: Sequence[str]) -> Iterator[str]:
    """The notes on the images of a model and of its base; those on one of them with its name."""
    for note in dict.fromkeys([*own, *of_base]):
        if note in own and note in of_base:
            yield f"{note}."
        else:
            yield f"{model if note in own else base}: {note}."


def evaluate_model(
    ws: Workspace,
    config: Config,
    model: EvaluatedModel,
    options: RunOptions,
    seed: int | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Outcomes:
    """The outcomes of one model on the evaluation's prompts, of `eval.seed` or another seed.

    `note` is called with what the steps say, except of images that could not be judged.
    """
    config = configure(config, model, config.eval.seed if seed is None else seed)
    steps.make_prompts(ws, config, options)
    results, observed = [steps.generate(ws, config, options)], {}
    if reads_graphs(config):
        results += steps.annotate(ws, config, options)
        observed = _by_candidate(ws, ws.annotations_dir(config.score.annotator))
    results += steps.score(ws, config, options)
    for result in results:
        for text in result.notes:
            note(f"{result.step}: {text}")
    graphs = ws.read_table(ws.prompts_path, ["prompt_id", "graph"]).to_pylist()
    intended = {row["prompt_id"]: row["graph"] for row in graphs}
    scores = {name: _by_candidate(ws, ws.scores_dir(name)) for name in config.score.scorers}
    outcomes = {}
    for part in ws.iter_parts(ws.candidates_dir):
        for number, row in enumerate(read_part(part, COLUMNS).to_pylist()):
            name = row["candidate_id"]
            scored = {scorer: by_candidate[name] for scorer, by_candidate in scores.items()}
            seen = observed.get(name, {}).get("graph")
            image = StoredImage(part, number)
            outcome = _outcome(row, image, intended[row["prompt_id"]], seen, scored)
            outcomes[row["prompt_id"], row["seed"]] = outcome
    return outcomes


def _by_candidate(ws: Workspace, folder: Path) -> dict[str, Record]:
    return {row["candidate_id"]: row for row in ws.read_table(folder).to_pylist()}


def _outcome(
    candidate: Record,
    image: StoredImage,
    graph: str | None,
    observed: str | None,
    scores: Mapping[str, Record],
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
    name = candidate["candidate_id"]
    return Outcome(image, candidate["seed"], figures, tuple(wrong), errors, name)


def _results(prompts: Sequence[Record], base: Outcomes, tuned: Outcomes) -> Iterator[Result]:
    """Prompt by prompt, the images of each in the order of seeds."""
    seeds = defaultdict[str, list[int]](list)
    for prompt_id, seed in base:
        if (prompt_id, seed) in tuned:
            seeds[prompt_id].append(seed)
    for row in prompts:
        name, text, category = row["prompt_id"], row["prompt"] or "", row.get("category")
        for number, seed in enumerate(seeds[name]):
            yield Result(name, text, base[name, seed], tuned[name, seed], category, number)
