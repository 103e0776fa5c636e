"""What the images of two models are worth: outcomes, results, and the figures over them.

Images of one prompt are no independent tries. So a figure of a prompt is its mean over the images
that both models have it for, and intervals are over prompts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from invdpo.curate.evaluation.preparation import COMPOSITION
from invdpo.curate.evaluation.statistics import Comparison, Interval, compare
from invdpo.curate.storage.parts import read_part
from invdpo.schemas import DataError

BASE, TUNED = "base", "tuned"
"""What the models are to each other, and the names of their workspaces."""
ALL_RIGHT = f"{COMPOSITION}_all_right"
UNNAMED = "none"
"""What prompts without a category are called where others have one."""


class StoredImage(NamedTuple):
    """An image in a table of candidates, which is read when it is needed."""

    part: Path
    row: int

    def read(self) -> bytes | None:
        """The file; None for a candidate without an image. Raises `WorkspaceError`."""
        images = _images(self.part, self.part.stat().st_mtime_ns)
        content: bytes | None = (images[self.row].as_py() or {}).get("bytes")
        return content


@lru_cache(maxsize=2)  # images are read in order, those of two models side by side
def _images(part: Path, _written: int) -> Any:
    return read_part(part, ["image"])["image"]


@dataclass(frozen=True)
class Outcome:
    """The image that one model generated for a prompt, and what the scorers say of it."""

    content: bytes | StoredImage | None
    seed: int
    figures: Mapping[str, float]
    """Scores and components, such as `composition_all_right`; empty when rejected."""
    wrong: tuple[str, ...]
    """Wrong facts in words, or why they are not known."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """Scorer -> why it gave no score."""
    candidate_id: str = ""

    @property
    def image(self) -> bytes | None:
        """The file; None when the image was rejected."""
        return self.content.read() if isinstance(self.content, StoredImage) else self.content

    @property
    def judged(self) -> bool:
        """Whether it is known how many facts hold; not so for an image that was rejected."""
        return ALL_RIGHT in self.figures

    @property
    def right(self) -> bool:
        """Whether every fact holds; that of a rejected image is not known."""
        return self.figures.get(ALL_RIGHT) == 1.0


@dataclass(frozen=True)
class Result:
    """The outcomes of both models for one prompt and seed."""

    prompt_id: str
    prompt: str
    base: Outcome
    tuned: Outcome
    category: str | None = None
    number: int = 0
    """Of the image among those of its prompt, from 0."""


@dataclass(frozen=True)
class Evaluation:
    """All prompts, and the figures over them."""

    results: tuple[Result, ...]
    comparisons: Mapping[str, Comparison]
    """By figure: `composition_all_right`, the share of prompts that are exactly right, first."""
    notes: tuple[str, ...] = ()
    """What could not be judged and what the prompts are, in plain sentences."""
    tuned: str = ""
    """Name of the tuned model."""
    workspace: str = ""
    """Name of the folder with its images."""

    @property
    def main_figures(self) -> list[str]:
        """The figures without those that a scorer computes its own from."""
        names = [*self.comparisons]
        parts = (n for n in names for other in names if n.startswith(f"{other}_"))
        parts_of_others = {*parts} - {ALL_RIGHT}
        return [name for name in names if name not in parts_of_others]

    def rows(self) -> list[dict[str, Any]]:
        """One row a figure, for a table: values with their 95 % intervals."""
        return [_row(name, one, self.results) for name, one in self.comparisons.items()]

    def category_rows(self) -> list[dict[str, Any]]:
        """The same for each category of the prompts; none where no prompt has one."""
        groups = by_category(self.results)
        return [
            {"category": category} | _row(name, comparison, results)
            for category, results in groups.items()
            for name, comparison in compare_figures(results).items()
        ]


def evaluate_results(
    results: tuple[Result, ...],
    scorers: Sequence[str],
    notes: Sequence[str],
    tuned: str,
    workspace: str = TUNED,
) -> Evaluation:
    """The figures, and notes on what was not judged. Raises `DataError` when nothing was."""
    comparisons, unjudged = compare_figures(results), [*_unjudged(results, scorers)]
    if not comparisons:
        raise DataError(
            "\n".join(["No prompt could be scored for the images of both models.", *unjudged])
        )
    return Evaluation(results, comparisons, (*notes, *unjudged), tuned, workspace)


def by_category(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The results of each category, in the order of the prompts; empty where none has one."""
    groups = defaultdict[str, list[Result]](list)
    for result in results:
        groups[result.category or UNNAMED].append(result)
    return {} if [*groups] == [UNNAMED] else dict(groups)


def compare_figures(results: Sequence[Result]) -> dict[str, Comparison]:
    """Each figure over the images that both models have it for: a refused image is not wrong."""
    comparisons = {}
    for name in dict.fromkeys((ALL_RIGHT, *(name for r in results for name in r.base.figures))):
        if prompts := [*_by_prompt(_judged(results, name)).values()]:
            base = [fmean(r.base.figures[name] for r in group) for group in prompts]
            tuned = [fmean(r.tuned.figures[name] for r in group) for group in prompts]
            comparisons[name] = compare(base, tuned)
    return comparisons


def _by_prompt(results: Sequence[Result]) -> dict[str, list[Result]]:
    groups = defaultdict[str, list[Result]](list)
    for result in results:
        groups[result.prompt_id].append(result)
    return groups


def _unjudged(results: Sequence[Result], scorers: Sequence[str]) -> Iterator[str]:
    """For each scorer how many prompts it judged in both images, unless all, and why not more."""
    several = len(_by_prompt(results)) < len(results)
    what = "pairs of images" if several else "prompts in both images"
    for name in scorers:
        errors = [r.tuned.errors.get(name) or r.base.errors.get(name) for r in results]
        reasons = Counter(error for error in errors if error)
        if reasons:
            why = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
            judged = len(_judged(results, name))
            yield f"{name} scored {judged} of {len(results)} {what}: {why}."


def _judged(results: Sequence[Result], name: str) -> list[Result]:
    return [r for r in results if name in r.base.figures and name in r.tuned.figures]


def _row(name: str, comparison: Comparison, results: Sequence[Result]) -> dict[str, Any]:
    return {
        "figure": name,
        "prompts": len(_by_prompt(_judged(results, name))),
        **_columns("base", comparison.base),
        **_columns("tuned", comparison.tuned),
        **_columns("difference", comparison.difference),
        "better": comparison.better,
        "worse": comparison.worse,
        "p_value": comparison.p_value,
    }


def _columns(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
