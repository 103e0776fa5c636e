"""Options of the dataset as it is published."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from invdpo.schemas.config.section import OPTIONAL, RUNTIME, TRAVELS, Count, Section

Quality = Annotated[int, Field(ge=1, le=100)]


class DatasetConfig(Section):
    """How the images of the dataset are stored, and what its card says."""

    image_format: Literal["keep", "png", "jpeg", "webp"] = Field(
        "keep",
        description="Format of the images; `keep` leaves their bytes as they are.",
        json_schema_extra=OPTIONAL,
    )
    quality: Quality = Field(
        90,
        description="Quality of images that are converted to jpeg or webp, 1 to 100.",
        json_schema_extra=OPTIONAL,
    )
    round: Count | None = Field(
        None,
        description="Round in which the images were generated; stored in the column `round`.",
        json_schema_extra=OPTIONAL,
    )
    license: str | None = Field(
        None,
        description="Licence on the card, as the Hub names it; the models' licence if not given.",
        json_schema_extra=RUNTIME | TRAVELS,
    )

    @field_validator("license")
    @classmethod
    def _one_line(cls, value: str | None) -> str | None:
        """It is shown on a card, and on terminals."""
        if value and not value.isprintable():
            raise ValueError("expected one line of printable text, such as cc-by-4.0")
        return value
