"""What guidance means to a pipeline, in one table: most follow the rule, a few differ.

The rule: `guidance_scale` is classifier-free guidance, which is off up to 1, and which alone sees a
negative prompt. What a pipeline would ignore without a word is refused here.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invdpo.curate.generators.call_options import call_parameters, check_options
from invdpo.schemas import ConfigError
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.io.model_folder import DENOISERS


@dataclass(frozen=True)
class Family:
    """How pipelines of a class are guided; the defaults are those of most classes."""

    argument: str = "guidance_scale"
    """What the configuration's `guidance_scale` is passed as."""
    free: str = "guidance_scale"
    """The argument of classifier-free guidance, which alone sees a negative prompt."""
    off: float = 1.0
    """Up to this number classifier-free guidance is off."""
    embedded: bool = False
    """Whether `argument` goes into the model, where that was trained for it."""
    empty: str | None = None
    """The negative prompt without which classifier-free guidance stays off."""


FAMILIES = {
    "FluxPipeline": Family(free="true_cfg_scale", embedded=True),
    "Flux2Pipeline": Family(embedded=True),
    "QwenImagePipeline": Family(argument="true_cfg_scale", free="true_cfg_scale", empty=" "),
    "ZImagePipeline": Family(off=0.0),
}
"""Class of a pipeline -> how it differs."""


def passes(pipeline: str, scale: float) -> int:
    """Calls of the denoiser for each image and step, by the pipeline's class: 2 when guided."""
    family = FAMILIES.get(pipeline, Family())
    return 1 if family.embedded or scale <= family.off else 2


@dataclass(frozen=True)
class Guidance:
    """How one pipeline is guided by one configuration."""

    pipeline: Any
    config: GenerateConfig

    def check(self) -> None:
        """Raise `ConfigError` for what the pipeline would ignore, or does not know."""
        check_options(self.pipeline, self.config.pipeline_options, self.family.argument)
        self._check_scale()
        self._check_negative_prompt()

    @property
    def family(self) -> Family:
        """The pipeline's."""
        return FAMILIES.get(self._kind, Family())

    def arguments(self, count: int) -> dict[str, Any]:
        """Guidance and the pipeline's own options, as a call for so many images takes them."""
        given = {self.family.argument: self.config.guidance_scale, **self.config.pipeline_options}
        negative = self.config.negative_prompt
        if negative is None and self._free_scale > self.family.off:
            negative = self.family.empty
        return given if negative is None else given | {"negative_prompt": [negative] * count}

    @property
    def _kind(self) -> str:
        return type(self.pipeline).__name__

    @property
    def _free_scale(self) -> float:
        """Of classifier-free guidance; 0 where there is none."""
        if self.family.free != self.family.argument:
            parameter = self._parameters[self.family.free]
            return float(self.config.pipeline_options.get(self.family.free, parameter.default))
        embedded = self.family.embedded or self._of_denoiser("time_cond_proj_dim") is not None
        return 0.0 if embedded else self.config.guidance_scale

    @property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return call_parameters(self.pipeline)

    def _of_denoiser(self, key: str) -> Any:
        """A key of the denoiser's configuration; None without it."""
        denoisers = (getattr(self.pipeline, name, None) for name in DENOISERS)
        denoiser = next((one for one in denoisers if one is not None), None)
        return getattr(getattr(denoiser, "config", None), key, None)

    def _without_guidance(self) -> str | None:
        """Why this model takes no guidance at all, if so."""
        if self.family.embedded and not self._of_denoiser("guidance_embeds"):
            return "was distilled without guidance (guidance_embeds of its transformer is false)"
        if getattr(self.pipeline.config, "is_distilled", False):
            return "was distilled without guidance (is_distilled of its model_index.json is true)"
        return None

    def _check_scale(self) -> None:
        if self.family.argument not in self._parameters:
            text = (
                f"generate.model: {self._kind} takes no {self.family.argument}, which invdpo needs"
            )
            raise ConfigError(f"{text} for guidance. Give a model of another pipeline.")
        scale, reason = self.config.guidance_scale, self._without_guidance()
        if reason and scale > 1:
            text = f"generate.guidance_scale: found {scale:g}, but this model of {self._kind}"
            raise ConfigError(f"{text} {reason}. Allowed: up to 1. Give --guidance-scale 1.")

    def _check_negative_prompt(self) -> None:
        given, family = self.config.negative_prompt is not None, self.family
        if given and "negative_prompt" not in self._parameters:
            raise ConfigError(f"generate.negative_prompt: {self._kind} takes none. Leave it out.")
        guided = self._free_scale > family.off
        if given and not guided:
            text = f"generate.negative_prompt: {self._kind} uses it with classifier-free guidance "
            raise ConfigError(f"{text}only. {self._advice()}, or leave the negative prompt out.")
        if guided and not given and family.free != family.argument:
            text = f"generate.pipeline_options.{family.free}: {self._kind} uses it with a negative "
            raise ConfigError(f"{text}prompt only. Give --negative-prompt too, or leave it out.")

    def _advice(self) -> str:
        """How a negative prompt is made to count."""
        family = self.family
        if family.free != family.argument:
            return f"Add --pipeline-option {family.free}=4"
        scale = self.config.guidance_scale
        if self._free_scale != scale:
            return "This model has none: use another model"
        return f"Give a --guidance-scale above {family.off:g} (found {scale:g})"
