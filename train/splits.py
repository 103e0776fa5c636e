"""The usable pairs of a dataset, each with the size that its images are fitted to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError, DataError
from invdpo.schemas.io.text import count_noun
from invdpo.schemas.layouts.rows import GRAPHS
from invdpo.train.data import DataSet, Pair, Pairs, open_dataset
from invdpo.train.data.buckets import (
    Size,
    bucket_of,
    framing,
    make_buckets,
    may_be_bucket,
)
from invdpo.train.data.dataset import FocusBoxes
from invdpo.train.data.pairs import NO_SEED, OF_ANOTHER, RESIZED
from invdpo.train.models import ModelAdapter
from invdpo.train.models.latent_model import LatentModel
from invdpo.train.models.start import drawing_revision

PIXELS_PER_CALL = 128 * 64 * 64
"""Of the images in one call of the UNet, unless `unet_batch_size` is configured."""

FRESH_NOISE = 0.8
"""The default share where it was studied: inverted trajectories with the residual `endpoint`."""

SPLITS = ("train", "validation")


def read_splits(dataset: DataSet, adapter: ModelAdapter, config: TrainConfig) -> dict[str, Pairs]:
    """Both splits; the second one may be empty.

    Raises `DataError` when there is nothing to train on, `ConfigError` for a resolution too low.
    """
    sizes = buckets(adapter, config)
    splits = {split: dataset.pairs(split, config.max_unreadable) for split in SPLITS}
    if not splits["train"].pairs:
        raise DataError(no_pairs(dataset, splits["train"]))
    revision = drawing_revision(adapter, config) if config.noise == "own" else None
    for split in splits.values():
        split.pairs = [_fitted(pair, sizes, adapter, revision) for pair in split.pairs]
    if config.margin_weights:
        _require_margins(dataset, splits)
    if config.box_weight != 1:
        _require_boxes(dataset, splits["train"])
    return splits


def _fitted(pair: Pair, sizes: Sequence[Size], adapter: ModelAdapter, revision: str | None) -> Pair:
    """The pair with its bucket, and with its own noise where the reference generated the images.

    Images are known to be the reference's by their seed and `revision`, None where it does not
    matter. Noise belongs to one size, so a pair of them keeps its size if that may be a bucket.
    """
    unknown = [
        _why_unknown(seed, drawn_by, revision)
        for seed, drawn_by in zip(pair.seeds, pair.revisions, strict=True)
    ]
    own, same = pair.sizes[0], pair.sizes[0] == pair.sizes[1]
    keeps = not any(unknown) and same and may_be_bucket(own, sizes, adapter.multiple)
    bucket = own if keeps else bucket_of(pair.sizes, sizes)
    resized = isinstance(adapter, LatentModel) and adapter.drawn_size(bucket) != bucket
    chosen, rejected = (
        reason or (RESIZED if resized or size != bucket else "")
        for reason, size in zip(unknown, pair.sizes, strict=True)
    )
    return replace(pair, bucket=bucket, inverted=(chosen, rejected))


def _why_unknown(seed: int | None, drawn_by: str | None, revision: str | None) -> str:
    """Why the noise that an image was generated from is not known; empty if it is."""
    if seed is None:
        return NO_SEED
    return "" if revision and drawn_by == revision else OF_ANOTHER


def _require_margins(dataset: DataSet, splits: dict[str, Pairs]) -> None:
    """Raise `DataError` for pairs without a margin, which would all count nothing."""
    rows = [pair.row for split in splits.values() for pair in split.pairs if pair.margin is None]
    if rows:
        raise DataError(
            f"{dataset.name}: no `margin` in {count_noun(len(rows), 'pair')} (first: {rows[0]}), "
            "which margin_weights needs. Leave it out, or give a dataset with that column."
        )


def _require_boxes(dataset: DataSet, split: Pairs) -> None:
    """Raise `ConfigError` where nothing gives the boxes, `DataError` where no pair has any."""
    if dataset.focus_boxes is None:
        raise ConfigError(
            "train.box_weight: no source of boxes is given; expected 1. From Python, give "
            "focus_boxes=invdpo.curate.scene_graphs.focus.focus_boxes."
        )
    if count_without_boxes(split) == len(split.pairs):
        raise DataError(
            f"{dataset.name}: no training pair has a box for box_weight. It needs the columns "
            f"{', '.join(GRAPHS)} with the boxes of an annotator, and an object that is right in "
            "the chosen image and wrong in the rejected one. Leave box_weight out, or annotate "
            "with boxes (--annotators detector) and pair again."
        )


def count_without_boxes(split: Pairs) -> int:
    """How many pairs have no box on either image, so that all their positions count alike."""
    return sum(not any(pair.boxes) for pair in split.pairs)


def count_inverted(splits: Iterable[Pairs]) -> Counter[str]:
    """How many images have to be inverted for want of their own noise, by the reason."""
    reasons = {
        picture: reason
        for split in splits
        for pair in split.pairs
        for picture, reason in zip(pair.pictures, pair.inverted, strict=True)
    }
    return Counter(reason for reason in reasons.values() if reason)


def open_data(
    dataset: str | Path, config: TrainConfig, focus_boxes: FocusBoxes | None = None
) -> DataSet:
    """The dataset at a path or on the Hub. Raises `DataError` when there is none."""
    data = open_dataset(dataset, config.data_format, config.data_revision)
    return data if config.box_weight == 1 else replace(data, focus_boxes=focus_boxes)


def resolve_config(config: TrainConfig, adapter: ModelAdapter) -> TrainConfig:
    """The configuration with what follows from the model. Raises `ConfigError` for what can't."""
    changes: dict[str, Any] = {}
    if config.weighting == "auto":
        changes["weighting"] = adapter.process.weightings[0]
    if config.lora_targets == ("auto",):
        changes["lora_targets"] = adapter.lora_targets
    if config.fresh_noise is None:
        kind = (config.objective, config.residual, config.noise)
        studied = kind == ("inversion-dpo", "endpoint", "inversion")
        changes["fresh_noise"] = FRESH_NOISE if studied else 0.0
    if not config.unet_batch_size:
        side = config.resolution or adapter.side
        changes["unet_batch_size"] = max(1, PIXELS_PER_CALL // side**2)
    if isinstance(adapter, LatentModel) and adapter.distilled_unguided:
        changes["picture_guidance_scale"] = 1.0
        if config.inversion_guidance_scale != 1:
            raise ConfigError(
                f"inversion_guidance_scale: found {config.inversion_guidance_scale:g}, but "
                f"{config.model} was distilled without guidance; allowed: 1."
            )
    if config.tuning == "full" and config.start_from and config.reference == "start":
        raise ConfigError(
            "reference: found start, which is for a LoRA to start from, but tuning is full. Leave "
            f"both options out and give these weights as --model {config.start_from}, or set "
            "reference base."
        )
    if config.lora_format == "kohya" and adapter.component != "unet":
        raise ConfigError(
            "lora_format: found kohya, which has names only for the layers of a UNet; "
            f"{adapter.pipeline} has no UNet. Leave the option out: ComfyUI reads diffusers' "
            "names for this model."
        )
    resolved = config.model_copy(update=changes)
    adapter.process.check_weighting(resolved.weighting)
    return resolved


def buckets(adapter: ModelAdapter, config: TrainConfig) -> tuple[Size, ...]:
    """The sizes that images are fitted to. Raises `ConfigError` for a side that none can have."""
    side, multiple = config.resolution or adapter.side, adapter.multiple
    if side < multiple or (config.resolution and side % multiple):
        near = [n for n in (side // multiple * multiple, -(-side // multiple) * multiple) if n]
        raise ConfigError(
            f"resolution: found {side}; expected a multiple of {multiple}, such as "
            f"{' or '.join(map(str, near))}."
        )
    return make_buckets(side, adapter.multiple, square=not config.aspect_buckets)


def count_enlarged(split: Pairs) -> int:
    """How many images are smaller than the size that they are fitted to."""
    enlarged = {
        image: framing(size, pair.bucket).enlarged
        for pair in split.pairs
        for image, size in zip(pair.images, pair.sizes, strict=True)
    }
    return sum(enlarged.values())


def no_pairs(dataset: DataSet, split: Pairs) -> str:
    """Why there is nothing to train on."""
    if not split.skipped:
        return f"{dataset.name}: no training pairs, read in the layout {dataset.data_format}."
    reasons = (f"{n} x {why} ({split.examples[why]})" for why, n in split.skipped.items())
    return f"{dataset.name}: no usable pair; skipped {', '.join(reasons)}."
