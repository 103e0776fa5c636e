"""Options of the data set as it is published."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from invdpo.schemas.config.section import OPTIONAL, RUNTIME, Section

Quality = Annotated[int, Field(ge=1, le=100)]


class DatasetConfig(Section):
    """How the pictures of the data set are stored, and what its card says."""

    image_format: Literal["keep", "png", "jpeg", "webp"] = Field(
        "keep",
        description="Encode pictures anew; `keep` passes their bytes through.",
        json_schema_extra=OPTIONAL,
    )
    quality: Quality = Field(
        90,
        description="Of pictures that are encoded anew as jpeg or webp.",
        json_schema_extra=OPTIONAL,
    )
    license: str | None = Field(
        None,
        description="Licence on the card, by the Hub's name; the generator's if not given.",
        json_schema_extra=RUNTIME,
    )
