"""Options for asking a model on an OpenAI-compatible server; several sections share them."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from invdpo.schemas.config.section import LOCAL, OPTIONAL, RUNTIME, Count, Section

ADDRESS = re.compile(r"[A-Za-z][\w+.-]+:/")


class VlmOptions(Section):
    """Which server and model to ask, how patiently, and at what cost."""

    vlm_url: str | None = Field(
        None,
        description="URL of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1.",
        json_schema_extra=RUNTIME | LOCAL,
    )
    vlm_model: str | None = Field(
        None, description="Name of the model on the server.", json_schema_extra=OPTIONAL | LOCAL
    )
    vlm_key_variable: str = Field(
        "INVDPO_VLM_KEY",
        description="Environment variable that holds the key, if the server needs one.",
        json_schema_extra=RUNTIME | LOCAL,
    )
    vlm_temperature: float | None = Field(
        0.0,
        ge=0,
        le=2,
        description="Temperature of the answers; `none` leaves it to the server.",
        json_schema_extra=OPTIONAL,
    )
    vlm_max_tokens: Count = Field(
        2048, description="Maximum number of tokens in an answer.", json_schema_extra=OPTIONAL
    )
    vlm_concurrency: Count = Field(
        8, le=256, description="Number of concurrent questions.", json_schema_extra=RUNTIME
    )
    vlm_timeout: float = Field(
        120.0,
        gt=0,
        description="Seconds to wait for each chunk of an answer; five times as long "
        "for the full answer.",
        json_schema_extra=RUNTIME,
    )
    vlm_tries: Count = Field(
        5,
        description="Number of attempts per question when the server is busy.",
        json_schema_extra=RUNTIME,
    )
    vlm_price_input: float = Field(
        0.0,
        ge=0,
        description="Price per million input tokens.",
        json_schema_extra=RUNTIME | LOCAL,
    )
    vlm_price_output: float = Field(
        0.0,
        ge=0,
        description="Price per million output tokens.",
        json_schema_extra=RUNTIME | LOCAL,
    )
    vlm_budget_tokens: Count | None = Field(
        None, description="Maximum number of tokens that a run may use.", json_schema_extra=RUNTIME
    )
    vlm_budget_cost: float | None = Field(
        None,
        gt=0,
        description="Maximum cost of a run, in the currency of the prices.",
        json_schema_extra=RUNTIME,
    )
    vlm_cache: str | None = Field(
        None,
        description="Folder in which answers are cached; the user's cache folder if not given.",
        json_schema_extra=RUNTIME | LOCAL,
    )

    @field_validator("vlm_cache")
    @classmethod
    def _refuse_addresses(cls, folder: str | None) -> str | None:
        """It would become a folder called `s3:` here."""
        if folder and ADDRESS.match(folder):
            raise ValueError("expected a folder on this machine, not a URL")
        return folder
