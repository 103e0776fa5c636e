"""What the page of an evaluation shows: which images won, which lost, and the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from invdpo import __version__
from invdpo.curate.evaluation.results import ALL_RIGHT, BASE, TUNED, Evaluation, Outcome, Result
from invdpo.curate.report.evaluation_page import (
    Card,
    CardGroup,
    EvaluationPage,
    ImageSide,
    ModelSection,
)
from invdpo.curate.report.pair_views import LONGEST_PROMPT, shorten
from invdpo.curate.report.provenance import public_name
from invdpo.curate.report.thumbnails import make_thumbnail

PICTURES = 6_000_000
"""Bytes of all images together, a third more as base64."""
MOST = 120
"""Cards on the page altogether."""
MOST_WRONG = 6
"""Wrong facts named below one image."""
WON, LOST, EQUAL, UNJUDGED = "Tuned is better", "Tuned is worse", "Equal", "Not judged in both"


def page_of(
    name: str, base: str, evaluations: Sequence[Evaluation], held_out: str | None
) -> EvaluationPage:
    """The page; of wins, losses and the rest the first ones are shown, as many as fit."""
    results = evaluations[0].results
    by = evaluations[0].main_figures[0]
    most = max(4, MOST // len(evaluations))
    return EvaluationPage(
        name=name,
        base=public_name(base),
        prompts=len({result.prompt_id for result in results}),
        images=len(results),
        by=by,
        models=[_section(one, by, most, len(evaluations)) for one in evaluations],
        notes=list(dict.fromkeys(note for one in evaluations for note in one.notes)),
        held_out=held_out,
        version=__version__,
    )


def _section(evaluation: Evaluation, by: str, most: int, models: int) -> ModelSection:
    main = evaluation.main_figures
    groups = _groups(evaluation.results, by)
    shown = _shares([len(group) for group in groups.values()], most)
    budget = PICTURES // max(1, 2 * models * sum(shown))
    return ModelSection(
        public_name(evaluation.tuned),
        evaluation.rows(),
        [row for row in evaluation.category_rows() if row["figure"] in main],
        [
            CardGroup(
                title,
                len(group),
                tuple(_card(result, main, budget) for result in islice(group, number)),
            )
            for (title, group), number in zip(groups.items(), shown, strict=True)
        ],
    )


def _groups(results: Iterable[Result], by: str) -> dict[str, list[Result]]:
    """Title -> results; the largest differences first, and equal ones as they come."""
    groups: dict[str, list[Result]] = {title: [] for title in (WON, LOST, EQUAL, UNJUDGED)}
    for result in results:
        difference = _difference(result, by)
        if difference is None:
            groups[UNJUDGED].append(result)
        else:
            groups[WON if difference > 0 else LOST if difference < 0 else EQUAL].append(result)
    for title in (WON, LOST):
        groups[title].sort(key=lambda result: -abs(_difference(result, by) or 0))
    return groups


def _difference(result: Result, by: str) -> float | None:
    base, tuned = result.base.figures.get(by), result.tuned.figures.get(by)
    return None if base is None or tuned is None else tuned - base


def _shares(counts: Sequence[int], most: int) -> list[int]:
    """How many of each group are shown: a third of `most` for each, and what others leave."""
    shown: list[int] = []
    for count in counts:
        left = most - sum(shown)
        later = len(counts) - len(shown) > 2  # wins and losses leave room for those after them
        shown.append(min(count, most // 3 if later else left))
    return shown


def _card(result: Result, figures: Sequence[str], budget: int) -> Card:
    prompt = result.prompt
    text = prompt if len(prompt) <= LONGEST_PROMPT else f"{prompt[:LONGEST_PROMPT]}…"
    foot = [result.category, f"image {result.number + 1}", f"seed {result.base.seed}"]
    sides = (_side(BASE, result.base, budget), _side(TUNED, result.tuned, budget))
    scores: list[tuple[str, Any, Any]] = [
        (name, result.base.figures.get(name), result.tuned.figures.get(name))
        for name in figures
        if name != ALL_RIGHT
    ]
    return Card(text, " · ".join(filter(None, foot)), sides, tuple(scores))


def _side(name: str, outcome: Outcome, budget: int) -> ImageSide:
    wrong = tuple(shorten(fact) for fact in outcome.wrong[:MOST_WRONG])
    more = len(outcome.wrong) - len(wrong)
    listed = (*wrong, f"and {more} more") if more else wrong
    right = outcome.right if outcome.judged else None
    return ImageSide(name, make_thumbnail(outcome.image, budget), right, listed)
