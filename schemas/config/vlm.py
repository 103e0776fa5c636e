"""Options for asking a model behind an OpenAI-compatible server; several sections share them."""

from __future__ import annotations

from pydantic import Field

from invdpo.schemas.config.section import OPTIONAL, RUNTIME, Count, Section


class Asking(Section):
    """Where to ask, whom, how patiently, and for how much."""

    vlm_url: str | None = Field(
        None,
        description="Address of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1.",
        json_schema_extra=RUNTIME,
    )
    vlm_model: str | None = Field(
        None, description="Name of the model there.", json_schema_extra=OPTIONAL
    )
    vlm_key_variable: str = Field(
        "INVDPO_VLM_KEY",
        description="Environment variable with the key, if the server wants one.",
        json_schema_extra=RUNTIME,
    )
    vlm_temperature: float | None = Field(
        0.0,
        ge=0,
        le=2,
        description="Temperature that is asked for; `none` leaves it to the server.",
        json_schema_extra=OPTIONAL,
    )
    vlm_max_tokens: Count = Field(
        2048, description="Tokens of an answer at most.", json_schema_extra=OPTIONAL
    )
    vlm_concurrency: Count = Field(
        8, le=256, description="Questions under way at a time.", json_schema_extra=RUNTIME
    )
    vlm_timeout: float = Field(
        120.0,
        gt=0,
        description="Seconds to wait for each piece of an answer; five times as long "
        "for the whole.",
        json_schema_extra=RUNTIME,
    )
    vlm_tries: Count = Field(
        5, description="How often a busy server is asked the same.", json_schema_extra=RUNTIME
    )
    vlm_price_input: float = Field(
        0.0,
        ge=0,
        description="Price of a million tokens that the model reads.",
        json_schema_extra=RUNTIME,
    )
    vlm_price_output: float = Field(
        0.0,
        ge=0,
        description="Price of a million tokens that it writes.",
        json_schema_extra=RUNTIME,
    )
    vlm_budget_tokens: Count | None = Field(
        None, description="Tokens that a run may cost.", json_schema_extra=RUNTIME
    )
    vlm_budget_cost: float | None = Field(
        None,
        gt=0,
        description="Money that a run may cost, in the currency of the prices.",
        json_schema_extra=RUNTIME,
    )
    vlm_cache: str | None = Field(
        None,
        description="Folder of answers by content; one in the user's cache if not given.",
        json_schema_extra=RUNTIME,
    )
