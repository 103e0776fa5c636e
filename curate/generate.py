"""The generate stage: prompts in, K candidates each out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from invdpo.curate.attempts import Failure, attempt
from invdpo.curate.images import encode, perceptual_hash
from invdpo.curate.sampler import Picture, Sampler, Shot, Size
from invdpo.schemas import ConfigError
from invdpo.schemas.config import GenerateConfig
from invdpo.schemas.ids import content_id, derived_seed
from invdpo.schemas.tables import CANDIDATES, OK, REJECTED, Record


class Generate:
    """Samples `num_candidates` pictures a prompt; batches go across prompts.

    Raises `ConfigError` for a width without a height.
    """

    name = "generate"
    schema = CANDIDATES
    needs: Sequence[str] = ()
    chunk = None

    def __init__(self, config: GenerateConfig) -> None:
        if (config.width is None) != (config.height is None):
            # Some pipelines would silently ignore the one that is given.
            raise ConfigError("generate.width, generate.height: give both or neither.")
        self._sizes = sizes(config)
        self._config = config
        self._sampler = Sampler(config)

    def fingerprint(self) -> dict[str, Any]:
        """What decides the pictures; models by name and revision, not by place."""
        lora = self._sampler.lora
        return self._config.fingerprint() | {
            "model": self._sampler.model.name,
            "revision": self._sampler.model.revision,
            "lora": lora.revision if lora else None,
        }

    def prepare(self, row: Record) -> None:
        """Nothing is done ahead."""

    def __call__(self, rows: Iterable[Record]) -> Iterator[Record]:
        """K rows a prompt, in order; raises `ModelError` when the model can't be used."""
        shots = (
            row | {"seed": derived_seed(self._config.seed, row["prompt_id"], k)}
            for row in rows
            for k in range(self._config.num_candidates)
        )
        if len(self._sizes) > 1:
            yield from self._by_size(list(shots))
            return
        while batch := list(islice(shots, self._config.batch_size)):
            yield from self._candidates(batch)

    def _by_size(self, shots: Sequence[Record]) -> Iterator[Record]:
        """The same in order, while every batch holds pictures of one size."""
        made: dict[int, Record] = {}
        for size in self._sizes:
            numbers = iter(n for n, shot in enumerate(shots) if self._size(shot["seed"]) == size)
            while some := list(islice(numbers, self._config.batch_size)):
                made |= zip(some, self._candidates([shots[n] for n in some]), strict=True)
        yield from (made[n] for n in range(len(shots)))

    def _size(self, seed: int) -> Size | None:
        """The size that a candidate's seed chooses."""
        return self._sizes[seed % len(self._sizes)] if self._sizes else None

    def _shot(self, prompt: str, seed: int) -> Shot:
        return Shot(prompt, seed, self._size(seed))

    def remake(self, candidate: Mapping[str, Any], prompt: str) -> bytes:
        """The picture of one candidate's row again, as PNG; needs the row's configuration.

        The same bytes on the same machine and `batch_size`; elsewhere pixels may differ by one
        level in 255.
        """
        picture = self._sampler([self._shot(prompt, candidate["seed"])])[0]
        return encode(_levels(picture))

    def _candidates(self, shots: Sequence[Record]) -> Iterator[Record]:
        fit = [self._shot(s["prompt"], s["seed"]) for s in shots if s.get("status") != REJECTED]
        pictures = iter(attempt(self._sampler, fit))
        for shot in shots:
            if shot.get("status") == REJECTED:
                yield self._row(shot, Failure(f"prompt rejected: {shot.get('error')}"))
            else:
                yield self._row(shot, next(pictures))

    def _row(self, shot: Record, picture: Picture | Failure) -> Record:
        row = self._origin(shot)
        if not isinstance(picture, Failure) and not np.isfinite(picture).all():
            picture = Failure("the model gave values that are not finite")
        if isinstance(picture, Failure):
            return row | {"status": REJECTED, "error": picture.reason}
        levels = _levels(picture)
        height, width = levels.shape[:2]
        image = {"bytes": encode(levels), "path": f"{row['candidate_id']}.png"}
        return row | {
            "image": image,
            "width": width,
            "height": height,
            "phash": perceptual_hash(levels),
            "status": OK,
            "error": None,
        }

    def _origin(self, shot: Record) -> Record:
        """The row of a candidate without its picture: where it comes from, and its id."""
        config = self._config
        origin = {
            "prompt_id": shot["prompt_id"],
            "seed": shot["seed"],
            "revision": self._sampler.revision,
            "steps": config.num_inference_steps,
            "guidance_scale": config.guidance_scale,
            "scheduler": self._sampler.scheduler,
        }
        size = self._size(shot["seed"]) or (None, None)
        later = [config.negative_prompt] if config.negative_prompt else []
        candidate_id = content_id(origin, *size, config.dtype, *later)
        return {"candidate_id": candidate_id, "model": self._sampler.model.name} | origin


def sizes(config: GenerateConfig) -> list[Size]:
    """The sizes candidates may have; none for the model's own. Raises `ConfigError`."""
    if config.width is not None and config.height is not None:
        if config.resolutions:
            raise ConfigError("generate.resolutions: give either these or width and height.")
        return [(config.width, config.height)]
    found = []
    for text in config.resolutions:
        match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text.strip().lower())
        if match is None:
            expected = "sizes such as 1024x1024"
            raise ConfigError(f"generate.resolutions: found {text!r}; expected {expected}.")
        found.append((int(match[1]), int(match[2])))
    return list(dict.fromkeys(found))


def remake(candidate: Mapping[str, Any], prompt: str, config: GenerateConfig) -> bytes:
    """`Generate.remake` for a single picture; loads the model for it."""
    return Generate(config).remake(candidate, prompt)


def _levels(picture: Picture) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """0..1 to 0..255, as diffusers rounds."""
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
