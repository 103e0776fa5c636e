"""Options of `invdpo curate pair`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from invdpo.schemas.config.entries import split_list
from invdpo.schemas.config.section import HIDDEN, OPTIONAL, Count, Section, Seed, Share, several

Distance = Annotated[float, Field(ge=0, allow_inf_nan=False)]

Policy = Literal["best-worst", "best-random", "all", "hard", "same-seed"]
Normalisation = Literal["prompt", "global", "rank"]

STRATA: dict[str, tuple[str, ...]] = {
    "objects": ("0", "1", "2", "3", "4", "5+", "unknown"),
    "relation": ("none", "spatial", "non-spatial", "mixed", "unknown"),
    "attribute": (
        "none",
        "color",
        "shape",
        "texture",
        "size",
        "number",
        "other",
        "mixed",
        "unknown",
    ),
}
"""Kind -> the strata that prompts fall into; `unknown` without a graph."""


class PairConfig(Section):
    """How scores become pairs of a chosen and a rejected image."""

    weights: dict[str, float] = Field(
        {"composition": 1.0, "clip": 0.25}, min_length=1, description="Weight of each scorer."
    )
    policy: Policy = Field(
        "best-worst",
        description="Which candidates of a prompt become pairs. `best-worst`: the best and the "
        "worst; `best-random`: the best and a random worse one; `all`: every two; `hard`: close "
        "in quality but different in composition; `same-seed`: images of two models from the "
        "same seed.",
        json_schema_extra=OPTIONAL,
    )
    normalisation: Normalisation = Field(
        "prompt",
        description="Common scale of the scorers. `prompt`: standard deviations within the "
        "prompt's candidates; `global`: within all candidates; `rank`: ranks within the prompt, "
        "0 to 1.",
        json_schema_extra=OPTIONAL,
    )
    min_margin: float = Field(
        1.0,
        ge=0,
        allow_inf_nan=False,
        description="Minimum difference of the combined scores or, with SCORER=NUMBER, of one "
        "scorer's, after normalisation.",
        json_schema_extra=several("NUMBER,..."),
    )
    margins: dict[str, Distance] = Field(
        {},
        description="Minimum difference by a single scorer, as in min_margin.",
        json_schema_extra=OPTIONAL | HIDDEN,
    )
    consensus: Count | None = Field(
        None,
        description="Number of scorers with a weight that must prefer the chosen image.",
        json_schema_extra=OPTIONAL,
    )
    max_loss: Distance | None = Field(
        None,
        description="Maximum amount by which any scorer with a weight may prefer the rejected "
        "image, after normalisation.",
        json_schema_extra=OPTIONAL,
    )
    floors: dict[str, float] = Field(
        {},
        description="Worst raw score that a chosen image may have, such as aesthetic=5.",
        json_schema_extra=OPTIONAL,
    )
    limits: dict[str, float] = Field(
        {},
        description="Maximum raw score of a candidate, such as nsfw=0.8; others are left out.",
        json_schema_extra=OPTIONAL,
    )
    hard_by: str = Field(
        "composition",
        description="Scorer by which the images of hard pairs differ.",
        json_schema_extra=OPTIONAL,
    )
    hard_apart: Distance = Field(
        0.25,
        description="Minimum difference of hard pairs by that scorer, in raw scores.",
        json_schema_extra=OPTIONAL,
    )
    hard_near: Distance = Field(
        0.5,
        description="Maximum difference of hard pairs in the combined score of the other "
        "scorers, after normalisation.",
        json_schema_extra=OPTIONAL,
    )
    duplicates: Literal["keep", "pair", "prompt", "all"] = Field(
        "keep",
        description="Near-duplicates by perceptual hash: `keep` them, drop a `pair` of them, "
        "or keep one of them in each `prompt` or in `all` prompts together.",
        json_schema_extra=OPTIONAL,
    )
    duplicate_distance: int = Field(
        4,
        ge=0,
        le=63,
        description="Maximum number of bits in which hashes of near-duplicates differ.",
        json_schema_extra=OPTIONAL,
    )
    max_per_prompt: Count | None = Field(
        None,
        description="Maximum number of pairs per prompt; the largest margins are kept.",
        json_schema_extra=OPTIONAL,
    )
    distinct: bool = Field(
        False, description="Use each image in at most one pair.", json_schema_extra=OPTIONAL
    )
    shares: dict[str, Share] = Field(
        {},
        description="Shares of strata, such as objects.2=0.3, relation.spatial=0.5 or "
        "attribute.color=0.4.",
        json_schema_extra=OPTIONAL,
    )
    target_pairs: Count | None = Field(
        None,
        description="Exact number of pairs; with --distinct, of twice as many images.",
    )
    target_images: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="Exact number of different images, two per pair: the same as half "
        "as many target_pairs with distinct.",
        json_schema_extra=OPTIONAL | HIDDEN,
    )
    held_out: str | None = Field(
        None,
        description="Scorer that is not used to choose pairs and is only reported.",
        json_schema_extra=OPTIONAL,
    )
    reviews: bool = Field(
        False,
        description="Apply the decisions of `invdpo curate review`.",
        json_schema_extra=OPTIONAL,
    )
    split_by: Literal["graph", "fact", "prompt"] = Field(
        "graph",
        description="What the validation and train splits never share. `graph`: prompts and the "
        "facts they state, so prompts with common facts stay together; `fact`: the same, but "
        "prompts with facts of both splits give no pair; `prompt`: only prompts.",
    )
    validation_fraction: float = Field(
        0.1, ge=0, lt=1, description="Share of the prompts that are held out for validation."
    )
    seed: Seed = Field(
        0, description="Seed of random choices: held-out prompts, rejected images of best-random."
    )

    @property
    def wanted(self) -> int | None:
        """Exact number of pairs that is asked for, either way."""
        return self.target_images // 2 if self.target_images else self.target_pairs

    def scorers(self) -> set[str]:
        """Every scorer that an option names."""
        named = {*self.weights, *self.margins, *self.floors, *self.limits}
        named |= {self.held_out} if self.held_out else set()
        return named | ({self.hard_by} if self.policy == "hard" else set())

    @classmethod
    def normalise(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Entries `SCORER=NUMBER` of `min_margin` among the margins of single scorers."""
        values = super().normalise(given)
        least = values.get("min_margin")
        if not isinstance(least, str | list | tuple):
            return values
        parts = split_list(least)
        single = [part for part in parts if isinstance(part, str) and "=" in part]
        if single and isinstance(values.get("margins", {}), dict):
            named = {name.strip(): number for name, _, number in (p.partition("=") for p in single)}
            values["margins"] = values.get("margins", {}) | named
            parts = [part for part in parts if part not in single]
            del values["min_margin"]
        if parts:
            values["min_margin"] = parts[0] if len(parts) == 1 else parts
        return values

    @classmethod
    def override(cls, earlier: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """A later layer's number of pairs or of images replaces an earlier one of the other."""
        kept = dict(earlier)
        if _targets_differ({**earlier, **given}):
            if given.get("target_images") is None:
                kept |= {"target_images": None, "distinct": True}
            elif given.get("target_pairs") is None:
                kept["target_pairs"] = None
        return kept | dict(given)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """All that is wrong between fields, in one text."""
        problems = [*_targets(self), *_shares(self.shares), *_held_out(self), *_unreachable(self)]
        if problems:
            raise ValueError("\n".join(problems))
        return self


def _targets_differ(values: Mapping[str, Any]) -> bool:
    """Whether both targets are given, and not for the same number of pairs."""
    pairs, images = (str(values.get(key)) for key in ("target_pairs", "target_images"))
    return pairs.isdecimal() and images.isdecimal() and int(images) != 2 * int(pairs)


def _targets(config: PairConfig) -> list[str]:
    pairs, images = config.target_pairs, config.target_images
    if images and images % 2:
        return [f"target_images: found {images}, an odd number; a pair has two: give an even one"]
    if images and pairs and images != 2 * pairs:
        return [f"target_images: found {images} and target_pairs {pairs}; give one of the two"]
    return []


def _shares(shares: Mapping[str, float]) -> list[str]:
    problems = []
    totals = dict.fromkeys(STRATA, 0.0)
    for key, share in shares.items():
        kind, _, name = key.partition(".")
        if kind not in STRATA:
            problems.append(f"shares.{key}: expected KIND.NAME with KIND of {', '.join(STRATA)}")
        elif name not in STRATA[kind]:
            problems.append(f"shares.{key}: expected {kind}. and one of {', '.join(STRATA[kind])}")
        else:
            totals[kind] += share
    over = [
        f"shares: those of {k} sum to {t:g}, at most 1" for k, t in totals.items() if t > 1 + 1e-9
    ]
    return problems + over


def _held_out(config: PairConfig) -> list[str]:
    """Places where a held-out scorer would take part after all."""
    name = config.held_out
    used = [
        key for key in ("weights", "margins", "floors", "limits") if name in getattr(config, key)
    ]
    if config.policy == "hard" and name == config.hard_by:
        used.append("hard_by")
    return [
        f"held_out: {name} takes no part in choosing, but has an entry in {key}; remove one of "
        "the two"
        for key in used
    ]


def _unreachable(config: PairConfig) -> list[str]:
    if config.normalisation == "rank" and config.min_margin > 1:
        return [f"min_margin: found {config.min_margin:g}; ranks differ by 1 at most"]
    return []
