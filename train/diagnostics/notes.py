"""What the user should know of a training before it begins, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.io.text import count_noun
from invdpo.train.cache.trajectories import Cache
from invdpo.train.data import Pairs
from invdpo.train.diagnostics.overtraining import small_validation
from invdpo.train.objective import OBJECTIVES
from invdpo.train.splits import count_enlarged, count_inverted, count_without_boxes

OF_INVERSION = (
    "residual",
    "noise",
    "fresh_noise",
    "inversion_corrections",
    "inversion_guidance_scale",
    "cache_points",
)
"""Options that only objectives with an inversion use."""
OF_PAIRS = ("beta", "sft_share", "loser_scaling", "reference_decay")
"""Options that only objectives with a reference use, which compare two images."""
OF_LORA = ("lora_rank", "lora_format")
"""Options that only the training of a LoRA uses."""


def notes_on(
    config: TrainConfig, splits: dict[str, Pairs], cache: Cache, truncated: int
) -> list[str]:
    """What the user should know of the pairs, of the cache and of options that do nothing.

    `truncated` is the number of prompts that are longer than the text encoder allows.
    """
    notes = [*_unused(config), *_poor_inversion(config, splits, cache)]
    notes += _inverted(config, splits, cache)
    notes += [
        f"{name}: {count_noun(count, 'row')} skipped, {reason} (first: {split.examples[reason]})."
        for name, split in splits.items()
        for reason, count in split.skipped.items()
    ]
    if config.box_weight != 1 and (even := sum(map(count_without_boxes, splits.values()))):
        total = sum(len(split.pairs) for split in splits.values())
        notes.append(
            f"{even} of {total} pairs have no box for box_weight, so both images count equally "
            "everywhere: no box was found, or no object is right only in the chosen image."
        )
    if cache.damaged():
        notes.append(f"{count_noun(cache.damaged(), 'damaged cache shard')} remade.")
    if small := sum(map(count_enlarged, splits.values())):
        notes.append(f"{count_noun(small, 'image')} smaller than the training size: enlarged.")
    if truncated:
        notes.append(
            f"{count_noun(truncated, 'prompt')} longer than the text encoder allows: truncated."
        )
    if not splits["validation"].pairs:
        notes.append("No validation pairs: the last step's weights are saved.")
    elif config.keep == "best" and (warning := small_validation(len(splits["validation"].pairs))):
        notes.append(warning)
    if config.objective == "inversion-dpo" and config.residual == "reference":
        notes.append(
            "with residual `reference` the gradient is exactly zero at the base model, where "
            "training starts, so nothing is learnt; use `endpoint` or `implied` to train."
        )
    return notes


def _unused(config: TrainConfig) -> Iterator[str]:
    """A note on options that do nothing without another one."""
    objective = OBJECTIVES[config.objective]
    if not objective.inverts:
        yield from _names(config, OF_INVERSION, f"objective {config.objective} inverts nothing")
    if objective.sides == 1:
        yield from _names(config, OF_PAIRS, f"objective {config.objective} compares nothing")
    if config.tuning == "full":
        yield from _names(config, OF_LORA, "tuning full trains no LoRA")
    if not config.start_from:
        yield from _names(config, ("reference",), "no start_from is given")
    if config.picture_prompts and not config.pictures_every:
        yield "no pictures_every is given; not used: picture_prompts."


def _names(config: TrainConfig, options: Sequence[str], reason: str) -> Iterator[str]:
    if given := [f"{name} {getattr(config, name)}" for name in options if config.is_used(name)]:
        yield f"{reason}; not used: {', '.join(given)}."


def _poor_inversion(config: TrainConfig, splits: dict[str, Pairs], cache: Cache) -> list[str]:
    """A note on inversions that a model distilled with guidance does badly."""
    if config.embedded_guidance <= 1 or config.noise == "fresh" or not cache.trajectories:
        return []
    if not count_inverted(splits.values()):
        return []
    return [
        f"embedded_guidance: found {config.embedded_guidance:g}; models distilled with guidance "
        "invert badly above 1: the noise that is found does not give the image back. Give 1, or "
        "--noise own for the model's own images; --check-inversion measures it."
    ]


def _inverted(config: TrainConfig, splits: dict[str, Pairs], cache: Cache) -> list[str]:
    """A note on images that are inverted where the images' own noise is asked for, with reasons."""
    if config.noise != "own" or not cache.trajectories:
        return []
    reasons = count_inverted(splits.values())
    pairs = [pair for split in splits.values() for pair in split.pairs]
    total = len({picture for pair in pairs for picture in pair.pictures})
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return [f"{reasons.total()} of {total} images are inverted: {listed}."] if reasons else []
