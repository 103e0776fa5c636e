"""Options of `invdpo improve`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from invdpo.schemas.config.section import RUNTIME, Count, Section


class ImproveConfig(Section):
    """How rounds of generating, judging and training follow each other."""

    rounds: Count = Field(
        3,
        description="Rounds; each draws new prompts with the model of the round before.",
        json_schema_extra=RUNTIME,
    )
    reference: Literal["previous", "base"] = Field(
        "previous",
        description="Model that a round's training is tied to: that of the round before, or the "
        "base model in all rounds.",
    )
    replay_rounds: int = Field(
        0, ge=0, description="Number of earlier rounds whose pairs are trained on again."
    )
    validation_prompts: Count = Field(
        128, description="Prompts on which the model of every round is judged."
    )
    validation_images: Count = Field(
        2, description="Images for each of them; from 2 on they tell how diverse the model is."
    )
    patience: Count | None = Field(
        None,
        description="Stop after so many rounds in a row that are no better than the best one "
        "before, beyond the 95 % interval; never if not given.",
        json_schema_extra=RUNTIME,
    )
    train_processes: Count = Field(
        1,
        description="Processes that train together, one for each device; more than one are "
        "started by torchrun.",
        json_schema_extra=RUNTIME,
    )
    min_diversity: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Stop when the images of a prompt differ by less than this share of the base "
        "model's.",
        json_schema_extra=RUNTIME,
    )
