"""Real calls of curation's models on a few images, timed; nothing of them is kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

from invdpo.curate.batching import ModelStage
from invdpo.curate.candidate import Candidate
from invdpo.curate.devices import for_each_device, torch_device
from invdpo.curate.generate import Generate
from invdpo.curate.generators.pipeline import Size
from invdpo.curate.generators.sizes import sizes
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.tables import OK, Record
from invdpo.schemas.timing import fastest

SMALL_BATCH, PATIENCE = 2, 15.0
"""On the CPU so many images are made first; the batch itself if it takes fewer seconds than this.

There a large model is no faster by the image in a large batch.
"""


STORED = 0.7
"""Bytes of a losslessly stored image by those of its pixels: natural images need about so many."""


class Timed(NamedTuple):
    """What a call took, after a first one that loaded the model."""

    seconds: float
    """An image; several devices at work are counted."""
    rows: list[Record]
    """What came out."""


def time_drawing(config: GenerateConfig, prompt: Record) -> Timed:
    """Generate two batches for a prompt, by every model and in every size.

    The rows are those of candidates, with the prompt and its graph. Raises `ModelError`.
    """
    devices = for_each_device(config)
    wanted: list[Size | None] = [*sizes(config)] or [None]
    timed = [_time_size(devices[0], size, prompt) for size in wanted]
    joined = {"prompt": prompt["prompt"], "graph": prompt["graph"]}
    rows = [row | joined for size in timed for row in size.rows]
    return Timed(fmean(size.seconds for size in timed) / len(devices), rows)


def _time_size(config: GenerateConfig, size: Size | None, prompt: Record) -> Timed:
    count = config.batch_size
    if torch_device(config.device) == "cpu":
        timed = _time_batch(config, size, prompt, min(count, SMALL_BATCH))
        if count <= SMALL_BATCH or timed.seconds * count > PATIENCE:
            return timed
    return _time_batch(config, size, prompt, count)


def _time_batch(config: GenerateConfig, size: Size | None, prompt: Record, count: int) -> Timed:
    update: dict[str, Any] = {"batch_size": count, "num_candidates": count}
    if size:
        update |= {"width": size[0], "height": size[1], "resolutions": ()}
    stage = Generate(config.model_copy(update=update))
    seconds, drawn = fastest(lambda: list(stage([prompt])))
    return Timed(seconds / len(drawn), drawn)


def stored_bytes(images: int, wanted: Sequence[Size]) -> float:
    """Of images of these sizes, as many of each, by their pixels alone."""
    return images * 3 * fmean(width * height for width, height in wanted) * STORED


def image_bytes(rows: Sequence[Record]) -> float | None:
    """Bytes of a generated image as it is stored; None when there is none."""
    drawn = [len(row["image"]["bytes"]) for row in rows if row["status"] == OK]
    return fmean(drawn) if drawn else None


def time_judging(stage: ModelStage[Any], rows: Sequence[Record]) -> Timed | None:
    """Judge the candidates of some rows twice; None when they lack what the model needs."""
    lacking = [Candidate(row).problem(stage.needs) is not None for row in rows]
    if not rows or any(lacking):
        return None
    list(stage([Candidate(row) for row in rows]))
    began = time.perf_counter()  # one call only, since some judges cost money
    answers = list(stage([Candidate(row) for row in rows]))
    return Timed((time.perf_counter() - began) / len(rows), answers)
