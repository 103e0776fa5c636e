"""What a section of the configuration is: frozen, checked, and knowing what decides results."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

HOW: dict[str, Any] = {"fingerprint": False}
"""Marks a field that says how work is done, not what comes out."""
LATER: dict[str, Any] = {"fingerprint": "when used"}
"""Marks a field that came later: it counts only when used, so that older workspaces stay valid."""

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Guidance = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Dtype = Literal["float32", "bfloat16", "float16"]


class Section(BaseModel):
    """A frozen group of options that refuses unknown keys, NaN and infinity."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_yes_for_one(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML's `yes` and `on` are true, which would pass for the number 1."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if kind is bool or (isinstance(kind, type) and issubclass(kind, Section)):
            return value
        inner = value.values() if isinstance(value, dict) else [value]
        if any(isinstance(part, bool) for part in inner):
            raise ValueError("expected a number or a text, not true or false; quote a text")
        return value

    def fingerprint(self) -> dict[str, Any]:
        """The values that decide the result, in JSON's types."""
        fields = type(self).model_fields.items()
        left_out = {n for n, f in fields if f.json_schema_extra == HOW}
        left_out |= {
            n for n, f in fields if f.json_schema_extra == LATER and getattr(self, n) == f.default
        }
        return self.model_dump(mode="json", exclude=left_out)
