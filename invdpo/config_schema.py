"""The JSON Schema of the YAML file, by which an editor completes and checks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invdpo.options import section_class
from invdpo.schemas.config import Config
from invdpo.schemas.config.section import marks

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ABOUT = ("description", "default", "deprecated")
SEVERAL = {"type": "array", "items": {"type": ["string", "number"]}}


def config_schema() -> dict[str, Any]:
    """Pydantic's schema, with what our sections take besides the declared types."""
    schema = Config.model_json_schema()
    for section in Config.model_fields:
        definition = schema["$defs"][section_class(section).__name__]
        for field, info in section_class(section).model_fields.items():
            definition["properties"][field] = _field(definition["properties"][field], marks(info))
    return {"$schema": DIALECT, **schema}


def _field(declared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A field without our marks; one that takes several also as a list or a text with commas."""
    field = {key: value for key, value in declared.items() if key not in own and key != "title"}
    if own.get("hidden"):
        field["deprecated"] = True
    if "several" in own and field.get("type") != "object":
        about = {key: field[key] for key in ABOUT if key in field}
        alone = {key: value for key, value in field.items() if key not in ABOUT}
        alternatives = alone.get("anyOf", [alone])
        field = {**about, "anyOf": [*alternatives, {"type": "string"}, SEVERAL]}
    return field
