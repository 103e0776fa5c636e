"""The page of an evaluation: figures, categories, and the images of two models side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invdpo.curate.report.page import render_template
from invdpo.curate.report.thumbnails import Thumbnail
from invdpo.curate.storage.atomic import replacing


@dataclass(frozen=True)
class ImageSide:
    """The image of one model in a card."""

    name: str
    thumbnail: Thumbnail | None
    right: bool | None
    """Whether every fact of the prompt holds; None where it is unknown."""
    wrong: tuple[str, ...]
    """Wrong facts, or why there is no image or no judgement."""


@dataclass(frozen=True)
class Card:
    """One prompt and seed with the images of both models."""

    prompt: str
    foot: str
    sides: tuple[ImageSide, ImageSide]
    scores: tuple[tuple[str, float | None, float | None], ...]
    """Figure, that of the base, and that of the tuned model."""


@dataclass(frozen=True)
class CardGroup:
    """Cards under one heading."""

    title: str
    count: int
    """Of all pairs of images that belong here; not all are shown."""
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class ModelSection:
    """One tuned model beside the base."""

    tuned: str
    figures: Sequence[Mapping[str, Any]]
    categories: Sequence[Mapping[str, Any]]
    groups: Sequence[CardGroup]


@dataclass(frozen=True)
class EvaluationPage:
    """Everything that the page shows; rows of tables are as `invdpo eval --json` prints them."""

    name: str
    base: str
    prompts: int
    images: int
    """Of each model."""
    by: str
    """Figure that decides which image won."""
    models: Sequence[ModelSection]
    notes: Sequence[str] = ()
    held_out: str | None = None
    version: str = ""

    @property
    def facts_judged(self) -> bool:
        """Whether it is known of any image shown if all facts hold."""
        cards = (card for m in self.models for group in m.groups for card in group.cards)
        return any(side.right is not None for card in cards for side in card.sides)

    def is_held_out(self, figure: str) -> bool:
        """Whether a figure is one of the held-out scorer."""
        name = self.held_out
        return name is not None and (figure == name or figure.startswith(f"{name}_"))


def write_evaluation_page(page: EvaluationPage, path: Path) -> None:
    """Write one file that needs nothing else. Raises `WorkspaceError` when it can't be written."""
    text = render_template("evaluation.html.j2", page=page)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
