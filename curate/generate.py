"""The generate stage: prompts in, K candidates each out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from invdpo.curate.batching import Attempts, Failure
from invdpo.curate.engines import Stage
from invdpo.curate.generators.order import (
    Numbered,
    batch_by_size,
    finish_in_background,
    restore_order,
)
from invdpo.curate.generators.pipeline import ImageGenerator, ImageRequest, Picture, Size
from invdpo.curate.generators.sizes import sizes
from invdpo.curate.generators.specs import distinct, model_specs
from invdpo.curate.images import encode, perceptual_hash
from invdpo.curate.storage.cuts import CUT_PROMPT
from invdpo.schemas import ConfigError, DataError, ModelError
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.ids import canonical_json, content_id, derived_seed
from invdpo.schemas.tables import CANDIDATES, OK, REJECTED, Record, with_options


class Generate(Stage):
    """Samples `num_candidates` images per prompt by each model; batches go across prompts.

    Raises `ConfigError` for a width without a height, and for models that contradict each other.
    """

    name = "generate"
    needs: Sequence[str] = ()
    chunk = None

    def __init__(self, config: GenerateConfig) -> None:
        if (config.width is None) != (config.height is None):
            # Some pipelines would silently ignore the one that is given.
            raise ConfigError("generate.width, generate.height: give both or neither.")
        self._sizes = sizes(config)
        self._config = config
        self._generators = [ImageGenerator(config, spec) for spec in model_specs(config)]
        self._attempt: Attempts[ImageRequest, Picture] = Attempts()

    @property
    def schema(self) -> pa.Schema:
        """Of candidates; with a column more where the pipeline is given options."""
        return with_options(CANDIDATES) if self._config.pipeline_options else CANDIDATES

    @property
    def fan_out(self) -> int:
        """Candidates per prompt, those of all models."""
        return self._config.num_candidates * len(self._generators)

    @property
    def num_sizes(self) -> int:
        """Sizes that batches come in."""
        return max(1, len(self._sizes))

    def fingerprint(self) -> dict[str, Any]:
        """What decides the images; models by name and revision, not by place."""
        own = self._config.fingerprint()
        named = ("model", "revision", "lora", "models", "loras")
        rest = {key: value for key, value in own.items() if key not in named}
        if len(self._generators) > 1:
            distinct([generator.spec for generator in self._generators])
            return rest | {"models": [f"{s.name} {s.revision}" for s in self._generators]}
        spec = self._generators[0].spec
        return rest | {
            "model": spec.model.name,
            "revision": spec.model.revision,
            "lora": spec.adapter_revision,
        }

    def __call__(self, rows: Iterable[Record]) -> Iterator[Record]:
        """K rows per prompt and model, in order, those of the first model first.

        Raises `ModelError` when a model can't be used.
        """
        if len(self._generators) == 1:
            yield from self._drawn(self._generators[0], rows)
            return
        prompts = list(rows)
        for generator in self._generators:
            yield from self._drawn(generator, prompts)
            generator.rest()

    def _drawn(self, generator: ImageGenerator, rows: Iterable[Record]) -> Iterator[Record]:
        batches = batch_by_size(
            self._requests(rows),
            lambda request: self._size(request["seed"]),
            self._config.batch_size,
        )
        yield from restore_order(
            finish_in_background(self._finishing(generator, batch) for batch in batches)
        )

    def _requests(self, rows: Iterable[Record]) -> Iterator[Record]:
        """The k-th candidates of all models have the same seed."""
        for row in rows:
            for k in range(self._config.num_candidates):
                yield row | {"seed": derived_seed(self._config.seed, row["prompt_id"], k)}

    def _size(self, seed: int) -> Size | None:
        """The size that a candidate's seed chooses."""
        return self._sizes[seed % len(self._sizes)] if self._sizes else None

    def _request(self, prompt: str, seed: int) -> ImageRequest:
        return ImageRequest(prompt, seed, self._size(seed))

    def remake(self, candidate: Mapping[str, Any], prompt: str) -> bytes:
        """The image of one candidate's row again, as PNG; needs the row's configuration.

        The same bytes on the same machine and `batch_size`; elsewhere pixels may differ by one
        level in 255. Raises `DataError` when the model gives no image that can be used.
        """
        generator = self._generator_of(candidate)
        levels = _levels(generator([self._request(prompt, candidate["seed"])])[0])
        if isinstance(levels, Failure):
            raise DataError(f"{candidate['candidate_id']}: {levels.reason}.")
        return encode(levels)

    def _generator_of(self, candidate: Mapping[str, Any]) -> ImageGenerator:
        matching = [s for s in self._generators if s.revision == candidate["revision"]]
        if len(self._generators) > 1 and not matching:
            raise DataError(f"{candidate['candidate_id']}: not generated by any of these models.")
        return matching[0] if matching else self._generators[0]

    def _finishing(
        self, generator: ImageGenerator, batch: Sequence[Numbered[Record]]
    ) -> list[Callable[[], Numbered[Record]]]:
        """Generates a batch; what is left to do for each image needs no model."""
        fit = [
            self._request(s["prompt"], s["seed"]) for _, s in batch if s.get("status") != REJECTED
        ]
        pictures = iter(self._pictures(generator, fit))
        calls: list[Callable[[], Numbered[Record]]] = []
        for number, request in batch:
            row = self._origin(generator, request)
            if request.get("status") == REJECTED:
                picture: Picture | Failure = Failure(f"prompt rejected: {request.get('error')}")
            else:
                picture = next(pictures)
                row |= (
                    {CUT_PROMPT: request["prompt"]} if generator.is_cut(request["prompt"]) else {}
                )
            calls.append(partial(_finished, number, row, picture))
        return calls

    def _pictures(
        self, generator: ImageGenerator, requests: Sequence[ImageRequest]
    ) -> list[Picture | Failure]:
        try:
            return self._attempt(generator, requests)
        except ModelError as error:
            if len(self._generators) == 1:
                raise
            raise ModelError(f"{generator.spec.name}: {error}") from error

    def _origin(self, generator: ImageGenerator, request: Record) -> Record:
        """The row of a candidate without its image: where it comes from, and its id."""
        config = self._config
        origin = {
            "prompt_id": request["prompt_id"],
            "seed": request["seed"],
            "revision": generator.revision,
            "steps": config.num_inference_steps,
            "guidance_scale": config.guidance_scale,
            "scheduler": generator.scheduler,
        }
        size = self._size(request["seed"]) or (None, None)
        options = config.pipeline_options
        later = [value for value in (config.negative_prompt, options) if value]
        candidate_id = content_id(origin, *size, config.dtype, *later)
        recorded = {"pipeline_options": canonical_json(options)} if options else {}
        return {"candidate_id": candidate_id, "model": generator.name} | origin | recorded


def _finished(number: int, row: Record, picture: Picture | Failure) -> Numbered[Record]:
    """The complete row, or the reason why there is no image."""
    levels = _levels(picture)
    if isinstance(levels, Failure):
        return number, row | {"status": REJECTED, "error": levels.reason}
    height, width = levels.shape[:2]
    return number, row | {
        "image": {"bytes": encode(levels), "path": f"{row['candidate_id']}.png"},
        "width": width,
        "height": height,
        "phash": perceptual_hash(levels),
        "status": OK,
        "error": None,
    }


def remake(candidate: Mapping[str, Any], prompt: str, config: GenerateConfig) -> bytes:
    """`Generate.remake` for a single image; loads the model for it."""
    return Generate(config).remake(candidate, prompt)


def _levels(picture: Picture | Failure) -> np.ndarray[Any, np.dtype[np.uint8]] | Failure:
    """0..1 to 0..255, as diffusers rounds; or why this is no image to learn from."""
    if isinstance(picture, Failure):
        return picture
    if not np.isfinite(picture).all():
        return Failure("the model gave values that are not finite")
    levels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    if (levels == levels[0, 0]).all():
        return Failure("the image is one single colour")
    return levels
