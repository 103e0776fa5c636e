"""What a section of the configuration is: frozen, checked, and knowing what decides results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from invdpo.schemas.io.home import expand_listed

EMBEDDED = "embedded"
"""Name of the model, and of the CLIP, that come with the package and know shapes alone."""
EMBEDDED_FLOW = "embedded-flow"
"""The same for a flow-matching model."""
EMBEDDED_MODELS = (EMBEDDED, EMBEDDED_FLOW)
EMBEDDED_FLOW_TEXT = {"max_sequence_length": 1}
"""It has no T5, in whose place the pipeline puts so many tokens of zeros: by default 256, which
are most of its work."""
RUNTIME: dict[str, Any] = {"fingerprint": False}
"""Marks a field that says how work is done, not what comes out."""
OPTIONAL: dict[str, Any] = {"fingerprint": "when used"}
"""Marks a field that was added later: it counts only when used, so older workspaces stay valid.
`unused` names the value that means as much as its absence where that is not the default."""
LOCAL: dict[str, Any] = {"local": True}
"""Marks an address, a variable, a path, a model or a plug-in: a file that came with data may name
one, but somebody on this machine has to confirm it before it is used; see `trust`."""
TRAVELS: dict[str, Any] = {"travels": True}
"""Marks a `RUNTIME` field that goes with a dataset to other machines all the same."""
HIDDEN: dict[str, Any] = {"hidden": True}
"""Marks an older name for what another field says; it works and is not shown in the help."""

SCALARS: dict[str, Any] = {"scalars": True}
"""Marks a mapping whose values may be numbers, texts, true or false, as JSON writes them."""

TEXT: dict[str, Any] = {"text": True}
"""Marks a field of free text, in which `~` is no home folder."""

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Guidance = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Dtype = Literal["float32", "bfloat16", "float16"]


def _scalar(value: Any) -> Any:
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError("expected NAME=VALUE with a number, a text, true or false")


Scalar = Annotated[bool | int | float | str, PlainValidator(_scalar)]
"""A single value of JSON's, kept as it is given."""


def several(metavar: str) -> dict[str, Any]:
    """Marks a field that takes one value or a list; `metavar` shows the form in the help."""
    return {"several": metavar}


def marks(info: FieldInfo) -> dict[str, Any]:
    """The marks of a field."""
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


class Section(BaseModel):
    """A frozen group of options that refuses unknown keys, NaN and infinity."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        allow_inf_nan=False,
        defer_build=True,  # help needs the fields alone
    )

    @classmethod
    def normalise(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """What a file or flags give, in the fields that are stored; wrong values stay as given.

        `~` is the home folder, in all but free text.
        """
        texts = {name for name, info in cls.model_fields.items() if "text" in marks(info)}
        return {key: v if key in texts else expand_listed(v) for key, v in given.items()}

    @classmethod
    def override(cls, earlier: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """The values of an earlier layer changed by those of a later one, both normalised."""
        return {**earlier, **given}

    @model_validator(mode="before")
    @classmethod
    def _normalise(cls, values: Any) -> Any:
        return cls.normalise(values) if isinstance(values, dict) else values

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_booleans_as_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML's `yes` and `on` are true, which would pass for the number 1."""
        field = cls.model_fields[str(info.field_name)]
        kind = field.annotation
        if kind is bool or (isinstance(kind, type) and issubclass(kind, Section)):
            return value
        if "scalars" in marks(field):
            return value
        parts = value.values() if isinstance(value, dict) else [value]
        if any(isinstance(part, bool) for part in parts):
            raise ValueError("expected a number or a text, not true or false; quote a text")
        return value

    def fingerprint(self) -> dict[str, Any]:
        """The values that decide the result, in JSON's types."""
        kinds = {
            name: marks(info).get("fingerprint") for name, info in type(self).model_fields.items()
        }
        left_out = {name for name, kind in kinds.items() if kind is False}
        left_out |= {name for name, kind in kinds.items() if kind and not self.is_used(name)}
        return self.model_dump(mode="json", exclude=left_out)

    def is_used(self, name: str) -> bool:
        """Whether an option is not at the value at which it does nothing."""
        info = type(self).model_fields[name]
        return bool(getattr(self, name) != marks(info).get("unused", info.default))
