"""Options of `invdpo improve`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from invdpo.schemas.config.section import OPTIONAL, RUNTIME, Count, Guidance, Section

SET_BY_ROUNDS = {
    "prompts": ("skip_prompts", "shuffle", "split"),
    "generate": ("lora",),
    "dataset": ("round",),
    "train": ("model", "revision", "start_from", "reference", "data_format", "data_revision"),
}
"""Options of the steps that the rounds set themselves, so that nobody else may."""


class ImproveConfig(Section):
    """How rounds of generating, judging and training follow each other."""

    rounds: Count = Field(
        3,
        description="Number of rounds; each generates images of new prompts with the previous "
        "model.",
        json_schema_extra=RUNTIME,
    )
    reference: Literal["previous", "base"] = Field(
        "previous",
        description="Reference model of a round's training: the model of the previous round, "
        "or the base model in all rounds.",
    )
    replay_rounds: int = Field(
        0, ge=0, description="Number of earlier rounds whose pairs are used for training again."
    )
    repeat_prompts: bool = Field(
        False,
        description="Rounds may have prompts of earlier rounds again, with other seeds: `shapes` "
        "and `scenes` are sampled anew, of a file every round has the same prompts.",
        json_schema_extra=OPTIONAL,
    )
    validation_prompts: Count = Field(
        128, description="Number of prompts on which each round's model is evaluated."
    )
    validation_images: Count = Field(
        2, description="Images per validation prompt; measuring diversity needs 2 or more."
    )
    validation_guidance_scales: tuple[Guidance, ...] = Field(
        (),
        description="Guidance scales at which each model is evaluated; the best one counts. That "
        "of the candidates if not given.",
        json_schema_extra=OPTIONAL,
    )

    @field_validator("validation_guidance_scales")
    @classmethod
    def _in_order(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        """Neither order nor doubles change what is evaluated."""
        return tuple(sorted({*value}))

    evaluate_every: Count = Field(
        1,
        description="Evaluate the model of every n-th round alone, as suits many small rounds; the "
        "last one is always evaluated.",
        json_schema_extra=RUNTIME,
    )
    patience: Count | None = Field(
        None,
        description="Stop after this many rounds in a row that did not improve, beyond the 95 % "
        "interval, on the last round that did; never if not given.",
        json_schema_extra=RUNTIME,
    )
    train_processes: Count = Field(
        1,
        description="Number of training processes, one per device; torchrun starts them if there "
        "is more than one. Each takes a batch of its own.",
        json_schema_extra=OPTIONAL,
    )
    min_diversity: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Stop when the images of a prompt differ by less than this share of the base "
        "model's.",
        json_schema_extra=RUNTIME,
    )
