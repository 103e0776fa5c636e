"""Options of `invdpo curate generate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from invdpo.schemas.config.entries import split_list, split_names, split_revision
from invdpo.schemas.config.section import (
    EMBEDDED,
    EMBEDDED_FLOW,
    EMBEDDED_FLOW_TEXT,
    HIDDEN,
    LOCAL,
    OPTIONAL,
    RUNTIME,
    SCALARS,
    TEXT,
    Count,
    Dtype,
    Guidance,
    Scalar,
    Section,
    Seed,
    several,
)

REPLACES = {
    "model": ("models",),
    "models": ("model", "revision"),
    "lora": ("loras",),
    "loras": ("lora",),
    "width": ("resolutions",),
    "height": ("resolutions",),
    "resolutions": ("width", "height"),
}
"""Key -> other names for the same option, which an earlier layer may have used."""


class GenerateConfig(Section):
    """How models turn prompts into candidate images."""

    model: str = Field(
        EMBEDDED,
        description="`embedded`, `embedded-flow`, a diffusers folder, or a Hub id, with @REVISION "
        "if needed. Only `curate` takes several (each generates num_candidates images) and "
        "MODEL+LORA=SCALE. In `eval` it is the base model; the one of the training if not given.",
        json_schema_extra=several("MODEL,...") | LOCAL,
    )
    revision: str | None = Field(
        None,
        description="Revision of a Hub model: MODEL@REVISION.",
        json_schema_extra=HIDDEN | LOCAL,
    )
    models: tuple[str, ...] = Field(
        (), description="Several models, as in model.", json_schema_extra=OPTIONAL | HIDDEN | LOCAL
    )
    lora: str | None = Field(
        None,
        description="LoRA to add to every model: a folder, a file, or a Hub id, with =SCALE "
        "if it is not 1.",
        json_schema_extra=several("LORA,...") | LOCAL,
    )
    loras: tuple[str, ...] = Field(
        (), description="Several LoRAs, as in lora.", json_schema_extra=OPTIONAL | HIDDEN | LOCAL
    )
    num_candidates: Count = Field(8, description="Candidates per prompt (K).")
    num_inference_steps: Count = Field(20, description="Sampling steps.")
    guidance_scale: Guidance = Field(
        4.0,
        description="Guidance scale of the model's pipeline; for classifier-free guidance, 1 "
        "turns it off (0 for Z-Image).",
    )
    resolution: str | None = Field(
        None,
        exclude=True,
        description="Size such as 1024x1024; if several, the seed of a candidate selects "
        "one. The model's own size if not given.",
        json_schema_extra=several("WIDTHxHEIGHT,..."),
    )
    """Never set: `normalise` turns it into the fields below, which files of workspaces hold."""
    width: Count | None = Field(
        None, description="Width in pixels, as in resolution.", json_schema_extra=HIDDEN
    )
    height: Count | None = Field(
        None, description="Height in pixels, as in resolution.", json_schema_extra=HIDDEN
    )
    resolutions: tuple[str, ...] = Field(
        (), description="Several sizes, as in resolution.", json_schema_extra=OPTIONAL | HIDDEN
    )
    negative_prompt: str | None = Field(
        None, description="What images should not show.", json_schema_extra=OPTIONAL | TEXT
    )
    pipeline_options: dict[str, Scalar] = Field(
        {},
        description="Further arguments of the pipeline, such as true_cfg_scale=4 for FLUX; "
        "names and types are checked against the pipeline.",
        json_schema_extra=several("NAME=VALUE") | OPTIONAL | SCALARS,
    )
    scheduler: str | None = Field(
        None,
        description="Class of the scheduler, such as DDIMScheduler; the model's own if not given.",
        json_schema_extra=OPTIONAL,
    )
    seed: Seed = Field(
        0, description="Base seed, from which the seed of each candidate is derived."
    )
    dtype: Dtype = Field("float32", description="Precision of the model.")
    compile: bool = Field(
        False,
        description="Compile the denoiser; the first batch is slow, and pixels may "
        "differ by rounding.",
        json_schema_extra=RUNTIME,
    )
    offload: bool = Field(
        False,
        description="Keep each component of the model in CPU memory until it is needed.",
        json_schema_extra=RUNTIME,
    )
    batch_size: Count = Field(
        64, description="Images generated together.", json_schema_extra=RUNTIME
    )
    device: str = Field(
        "auto",
        description="Torch device, several such as cuda:0,cuda:1, or `auto`.",
        json_schema_extra=RUNTIME,
    )

    @field_validator("resolution")
    @classmethod
    def _stands_alone(cls, value: str | None) -> None:
        if value is not None:
            raise ValueError("give either this or width, height and resolutions")

    @classmethod
    def normalise(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """One model, LoRA or size in its own fields; several in those of the plural."""
        values = super().normalise(given)
        _normalise_models(values)
        _normalise_loras(values)
        _normalise_sizes(values)
        if values.get("model") == EMBEDDED_FLOW:
            given = values.get("pipeline_options") or {}
            values["pipeline_options"] = EMBEDDED_FLOW_TEXT | given
        return values

    @property
    def max_sequence_length(self) -> int | None:
        """Text tokens that the pipeline is asked for; None for its own number."""
        asked = self.pipeline_options.get("max_sequence_length")
        return asked if isinstance(asked, int) else None

    @classmethod
    def override(cls, earlier: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """What a later layer gives replaces what an earlier one gave by another name."""
        kept = dict(earlier)
        for key, others in REPLACES.items():
            if given.get(key) or (key == "lora" and key in given):  # `lora: null` means none at all
                for other in others:
                    kept.pop(other, None)
        return kept | dict(given)


def _normalise_models(values: dict[str, Any]) -> None:
    models = split_names(values.get("model"), ",@+")
    if not models or "models" in values:  # a file that we wrote has both, each in its own field
        return
    if len(models) == 1 and isinstance(models[0], str) and "+" not in models[0]:
        name, revision = split_revision(models[0])
        if revision is None or values.get("revision") is None:
            values |= {"model": name} | ({"revision": revision} if revision else {})
            return
    del values["model"]
    values["models"] = models


def _normalise_loras(values: dict[str, Any]) -> None:
    loras = split_names(values.get("lora"), ",=")
    if not loras or "loras" in values:
        return
    del values["lora"]
    if len(loras) == 1 and not split_names(loras[0], ",="):
        values["lora"] = loras[0]
    else:
        values["loras"] = loras


def _normalise_sizes(values: dict[str, Any]) -> None:
    if "resolution" not in values or any(values.get(k) for k in ("width", "height", "resolutions")):
        return
    given = values.pop("resolution")
    sizes = [] if given is None else [str(size) for size in split_list(given)]
    width, _, height = sizes[0].lower().partition("x") if len(sizes) == 1 else ("", "", "")
    if width.isdecimal() and height.isdecimal():
        values |= {"width": width, "height": height}
    elif sizes:
        values["resolutions"] = sizes
    else:
        values |= {"width": None, "height": None, "resolutions": ()}
