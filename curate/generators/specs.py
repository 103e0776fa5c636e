"""What generates candidates: a model with the LoRAs on it; one, or several in one set.

Each of several is written `MODEL`, `MODEL@REVISION` or `MODEL+LORA=SCALE+LORA`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from invdpo.curate.checkpoints.hub import Source
from invdpo.curate.checkpoints.pipelines import find_lora, find_model
from invdpo.schemas import ConfigError
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.io.redact import is_address

LARGEST_SCALE = 100.0


@dataclass(frozen=True)
class LoraSpec:
    """A LoRA and how strongly it is applied."""

    path: str
    scale: float = 1.0

    @cached_property
    def source(self) -> Source:
        """Where it is. Raises `ModelError`."""
        return find_lora(self.path)

    @property
    def revision(self) -> str:
        """Of its weights, and its scale."""
        rate = "" if self.scale == 1 else f"*{self.scale:g}"
        return f"{self.source.revision}{rate}"


@dataclass(frozen=True)
class ModelSpec:
    """A model, its revision on the Hub if one is asked for, and LoRAs in the order applied."""

    name: str
    wanted: str | None = None
    adapters: tuple[LoraSpec, ...] = ()

    @cached_property
    def model(self) -> Source:
        """Where the model is. Raises `ModelError` or `ConfigError`."""
        return find_model(self.name, self.wanted)

    @property
    def adapter_revision(self) -> str | None:
        """Of all LoRAs; None without any."""
        return "+".join(adapter.revision for adapter in self.adapters) or None

    @property
    def revision(self) -> str:
        """Of all weights at work."""
        revisions = [self.model.revision, *(adapter.revision for adapter in self.adapters)]
        return "+".join(revisions)


def model_specs(config: GenerateConfig) -> list[ModelSpec]:
    """What the configuration names, in its order. Raises `ConfigError` for what contradicts itself.

    LoRAs of `lora` and `loras` are put on every model, before its own.
    """
    if config.lora is not None and config.loras:
        raise ConfigError("generate.lora, generate.loras: give only one of the two.")
    common = tuple(map(_lora_spec, config.loras))
    if config.lora is not None:
        common = (LoraSpec(config.lora),)
    if not config.models:
        return [ModelSpec(config.model, config.revision, common)]
    defaults = type(config).model_fields
    if config.model != defaults["model"].default or config.revision is not None:
        text = "generate.models: give either models (with MODEL@REVISION) or model and revision."
        raise ConfigError(text)
    return [_model_spec(text.strip(), common) for text in config.models]


def distinct(specs: Sequence[ModelSpec]) -> None:
    """Raises `ConfigError` for two of the same weights: their candidates would be the same."""
    seen: dict[str, ModelSpec] = {}
    for spec in specs:
        if (first := seen.setdefault(spec.revision, spec)) is not spec:
            text = f"{first.name} and {spec.name} have the same weights."
            raise ConfigError(f"generate.model: {text} Name each once.")


def _model_spec(text: str, common: tuple[LoraSpec, ...]) -> ModelSpec:
    if is_address(text) or Path(text).exists():  # a folder may be called anything
        return ModelSpec(text, None, common)
    model, *adapters = text.split("+")
    name, at, revision = model.partition("@")
    if not name or (at and not revision) or not all(adapters):
        expected = "MODEL, MODEL@REVISION or MODEL+LORA=SCALE"
        raise ConfigError(f"generate.model: found {text!r}; expected {expected}.")
    return ModelSpec(name, revision or None, (*common, *map(_lora_spec, adapters)))


def _lora_spec(text: str) -> LoraSpec:
    """`PATH` or `PATH=SCALE`; a path that is there may hold an equals sign."""
    path, equals, number = text.strip().rpartition("=")
    if not equals or is_address(text) or Path(text.strip()).exists():
        return LoraSpec(text.strip())
    try:
        scale = float(number)
    except ValueError:
        scale = float("nan")
    if not path or not abs(scale) <= LARGEST_SCALE or scale == 0:
        expected = f"LORA or LORA=SCALE, a number other than 0 up to {LARGEST_SCALE:g}"
        raise ConfigError(f"generate.lora: found {text!r}; expected {expected}.")
    return LoraSpec(path, scale)
