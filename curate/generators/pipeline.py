"""A text-to-image pipeline, with its LoRAs, behind one call: prompts and seeds in, images out.

The same prompt and seed give the same image whatever else is sampled with them. Seeds do that
by one generator each; but the kernels below also round differently for another batch size
(measured on CPU: 1e-6, enough to change a byte in a quarter of the images), while place and
neighbours in a batch play no part (0 of 64 images). So every batch is filled up to one size.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from invdpo.curate.batching import Failure
from invdpo.curate.checkpoints.loading import load
from invdpo.curate.checkpoints.tokens import PromptLengths
from invdpo.curate.devices import torch_device as torch_device
from invdpo.curate.generators.adapters import adapt
from invdpo.curate.generators.fit import check_fit
from invdpo.curate.generators.guidance import Guidance
from invdpo.curate.generators.sizes import check_sizes
from invdpo.curate.generators.specs import ModelSpec, model_specs
from invdpo.schemas import ConfigError, ModelError
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.io.logs import quiet_libraries
from invdpo.schemas.io.model_folder import DENOISERS

log = logging.getLogger("invdpo.loading")

Size = tuple[int, int]
"""Width and height in pixels."""


class ImageRequest(NamedTuple):
    """An image to be generated."""

    prompt: str
    seed: int
    """Of its noise."""
    size: Size | None = None
    """The model's own when None; the same for all of a batch."""


Picture = NDArray[np.float32]
"""H×W×3, 0..1; not finite where the model failed."""

REFUSED = "the model's safety checker refused it"


class ImageGenerator:
    """Generates with one of the configuration's models, which it loads at the first image.

    Everything that needs the model raises `ModelError` when it can't be used.
    """

    def __init__(self, config: GenerateConfig, spec: ModelSpec | None = None) -> None:
        self._config = config
        self.spec = spec or model_specs(config)[0]
        self._resting = False
        self._spoiled: set[str] | None = set()
        """Prompts without a finite image; None as soon as there is one."""

    @property
    def name(self) -> str:
        """The model's, as tables record it."""
        return self.spec.model.name

    @cached_property
    def revision(self) -> str:
        """Of all weights at work, those of LoRAs included."""
        return self.spec.revision

    @property
    def scheduler(self) -> str:
        """Class of the model's own scheduler."""
        return type(self._pipeline.scheduler).__name__

    def __call__(self, requests: Sequence[ImageRequest]) -> list[Picture | Failure]:
        """One image a request, or why the model keeps it back; at most `batch_size` of them."""
        import torch

        if self._resting:
            self._pipeline.to(torch_device(self._config.device))
            self._resting = False
        filled = [*requests, *[requests[-1]] * (self._config.batch_size - len(requests))]
        try:
            with torch.inference_mode(), quiet_libraries():
                output = self._pipeline(**self._arguments(filled))
        except torch.OutOfMemoryError as error:
            text = f"Out of memory with batch_size {self._config.batch_size}. Use a smaller one."
            raise ModelError(text) from error
        answers = _answers(output, len(filled))[: len(requests)]
        self._require_finite(requests, answers)
        return answers

    def _require_finite(
        self, requests: Sequence[ImageRequest], answers: Sequence[Picture | Failure]
    ) -> None:
        """Raise `ModelError` where the images of the first prompts are all not finite.

        An image that is so among others costs only itself.
        """
        if self._spoiled is None:
            return
        for request, answer in zip(requests, answers, strict=True):
            if isinstance(answer, Failure):
                continue
            if np.isfinite(answer).all():
                self._spoiled = None
                return
            self._spoiled.add(request.prompt)
        if len(self._spoiled) > 1:
            dtype, count = self._config.dtype, len(self._spoiled)
            advice = "Try --dtype float32, or give other weights."
            if dtype == "float32":
                advice = "The weights may be damaged: give others."
            raise ModelError(
                f"All images of the first {count} prompts are not finite (dtype {dtype}). {advice}"
            )

    def is_cut(self, prompt: str) -> bool:
        """Whether one of the model's text encoders takes less than the full prompt."""
        return self._lengths.is_cut(prompt)

    @cached_property
    def _lengths(self) -> PromptLengths:
        return PromptLengths(self._pipeline, self._config.pipeline_options)

    def rest(self) -> None:
        """Make room on the accelerator for another model, until the next image is asked for."""
        loaded = "_pipeline" in self.__dict__
        if loaded and not self._config.offload and torch_device(self._config.device) != "cpu":
            self._pipeline.to("cpu")
            self._resting = True

    def _arguments(self, requests: Sequence[ImageRequest]) -> dict[str, Any]:
        import torch

        width, height = requests[0].size or (None, None)
        return {
            "prompt": [request.prompt for request in requests],
            "generator": [torch.Generator("cpu").manual_seed(request.seed) for request in requests],
            "num_inference_steps": self._config.num_inference_steps,
            "width": width,
            "height": height,
            "output_type": "np",
            **self._guidance.arguments(len(requests)),
        }

    @cached_property
    def _pipeline(self) -> Any:
        check_fit(self.spec)
        log.info("loading %s", "+".join([self.name, *(one.path for one in self.spec.adapters)]))
        pipeline = load(self.spec.model, self._config.dtype)
        if self.spec.adapters:
            adapt(pipeline, self.spec)
        pipeline.scheduler = chosen_scheduler(pipeline, self._config.scheduler)
        Guidance(pipeline, self._config).check()
        check_sizes(pipeline, self._config)
        return self._placed(pipeline)

    @cached_property
    def _guidance(self) -> Guidance:
        return Guidance(self._pipeline, self._config)

    def _placed(self, pipeline: Any) -> Any:
        """On its device, whole or part by part, its denoiser compiled when asked for."""
        device = torch_device(self._config.device)
        if self._config.compile:
            denoisers = (getattr(pipeline, name, None) for name in DENOISERS)
            next(denoiser for denoiser in denoisers if denoiser is not None).compile()
        if not self._config.offload:
            return pipeline.to(device)
        if device == "cpu":
            raise ConfigError("generate.offload: needs an accelerator; the device is the CPU.")
        pipeline.enable_model_cpu_offload(device=device)
        return pipeline


def _answers(output: Any, count: int) -> list[Picture | Failure]:
    """The images of a pipeline's output, but for those that any of its other fields marks.

    Checkers return black images in place of those that they refuse.
    """
    if len(output.images) != count:
        text = f"The model gave {len(output.images)} images for {count} prompts."
        raise ModelError(text)
    reasons: dict[int, str] = {}
    for field, value in vars(output).items():
        if field != "images":
            reason = REFUSED if "nsfw" in field else f"{REFUSED} ({field})"
            reasons |= dict.fromkeys(_marked(value, count), reason)
    return [
        Failure(reasons.get(n, "the model gave no image"))
        if n in reasons or image is None
        else np.asarray(image, dtype=np.float32)
        for n, image in enumerate(output.images)
    ]


def _marked(value: Any, count: int) -> list[int]:
    """The images for which a field of the output says yes."""
    several = isinstance(value, list | tuple) or getattr(value, "ndim", None)
    answers = value if several else [value] * count  # one answer is about the whole batch
    return [n for n, answer in enumerate(answers) if _says_yes(answer)]


def _says_yes(answer: Any) -> bool:
    if str(getattr(answer, "dtype", "")).endswith("bool"):
        answer = answer.tolist()
    return any(map(_says_yes, answer)) if isinstance(answer, list | tuple) else answer is True


def chosen_scheduler(pipeline: Any, name: str | None) -> Any:
    """The scheduler of that class with the model's own settings. Raises `ConfigError`."""
    import diffusers

    if name is None:
        return pipeline.scheduler
    kinds = {kind.__name__ for kind in getattr(pipeline.scheduler, "compatibles", [])}
    if name not in kinds | {type(pipeline.scheduler).__name__}:
        allowed = ", ".join(sorted(kinds)) or "only its own"
        kind = type(pipeline).__name__
        raise ConfigError(f"generate.scheduler: {kind} can't use {name!r}. Allowed: {allowed}.")
    schedulers: Any = diffusers
    return getattr(schedulers, name).from_config(pipeline.scheduler.config)
