"""The configuration: one section a stage, every value checked, every field also a flag.

A field's description is its help text on the command line. Fields marked `RUNTIME` say how work is
done, not what comes out: they are left out of a stage's fingerprint, so that changing them never
invalidates a workspace. Fields marked `OPTIONAL` were added later and count only when used. Fields
marked `HIDDEN` are older names, accepted but not shown.
"""

from __future__ import annotations

from pydantic import Field

from invdpo.schemas.config.annotate import AnnotateConfig
from invdpo.schemas.config.dataset import DatasetConfig
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.config.improve import ImproveConfig
from invdpo.schemas.config.pair import PairConfig
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.config.section import OPTIONAL, Count, Guidance, Section, Seed
from invdpo.schemas.config.train import TrainConfig

__all__ = [
    "AnnotateConfig",
    "Config",
    "DatasetConfig",
    "EvalConfig",
    "GenerateConfig",
    "ImproveConfig",
    "PairConfig",
    "PromptsConfig",
    "ScoreConfig",
    "TrainConfig",
]


class EvalConfig(Section):
    """Which prompts and samples compare models."""

    num_prompts: Count = Field(128, description="Number of held-out prompts.")
    num_images: Count = Field(
        1, description="Images per prompt and seed.", json_schema_extra=OPTIONAL
    )
    seed: Seed = Field(1, description="Seed of prompts and images, the same for all models.")
    seeds: tuple[Seed, ...] = Field(
        (),
        description="Several seeds of the images; only `seed` if not given.",
        json_schema_extra=OPTIONAL,
    )
    base_guidance_scale: Guidance | None = Field(
        None,
        description="Guidance scale of the base model's images, where another one suits it; "
        "that of the tuned models if not given.",
        json_schema_extra=OPTIONAL,
    )
    held_out: str | None = Field(
        None,
        description="Scorer that was not used to choose the pairs; it is marked as held out.",
        json_schema_extra=OPTIONAL,
    )


class Config(Section):
    """Everything that decides a run, in the order of the stages."""

    prompts: PromptsConfig = Field(default_factory=PromptsConfig)
    generate: GenerateConfig = Field(default_factory=GenerateConfig)
    annotate: AnnotateConfig = Field(default_factory=AnnotateConfig)
    score: ScoreConfig = Field(default_factory=ScoreConfig)
    pair: PairConfig = Field(default_factory=PairConfig)
    dataset: DatasetConfig = Field(default_factory=DatasetConfig)
    train: TrainConfig = Field(default_factory=TrainConfig)
    eval: EvalConfig = Field(default_factory=EvalConfig)
    improve: ImproveConfig = Field(default_factory=ImproveConfig)
