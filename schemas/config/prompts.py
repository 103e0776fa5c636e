"""Options of `invdpo curate prompts`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from invdpo.schemas.config.plugin_options import PluginOptions
from invdpo.schemas.config.section import LOCAL, OPTIONAL, Count, Section, Seed
from invdpo.schemas.config.vlm import VlmOptions


class _Prompts(Section):
    """The options of this section alone; the help shows them before those that others share."""

    source: str = Field(
        "shapes",
        description="Source of the prompts: `shapes`, `scenes`; `file` or `hub`, which need "
        "--path; or a plug-in: PACKAGE.MODULE:CLASS.",
        json_schema_extra=LOCAL,
    )
    path: str | None = Field(
        None,
        description="For `file`: a file or its URL, or several files by a * in the name; "
        "for `hub`: OWNER/NAME.",
        json_schema_extra=LOCAL,
    )
    column: str | None = Field(
        None,
        description="Column of a table with the prompts; `prompt`, `caption_ori` or `caption` if "
        "not given.",
    )
    parser: Literal["auto", "rules", "spacy", "rules+spacy", "vlm", "none"] = Field(
        "auto",
        description="What makes scene graphs for prompts that have none: `auto` tries the "
        "language of the embedded model, then `rules`; `spacy` parses free sentences; "
        "`rules+spacy` uses spaCy for those that the rules can't parse; `vlm` asks a model on a "
        "server.",
    )
    vocabulary: str | None = Field(
        None,
        description="YAML file with the words of `scenes`; the built-in one if not given.",
        json_schema_extra=LOCAL,
    )
    hub_split: str = Field("train", description="Split of the dataset on the Hub.")
    hub_revision: str | None = Field(
        None, description="Revision of the dataset on the Hub.", json_schema_extra=LOCAL
    )
    num_prompts: Count = Field(400, description="Number of prompts to sample or, at most, to read.")
    skip_prompts: int = Field(
        0,
        ge=0,
        description="Number of prompts to skip first; later prompts equal to these are skipped, "
        "too.",
        json_schema_extra=OPTIONAL,
    )
    min_objects: int = Field(
        0,
        ge=0,
        description="Leave out prompts whose scene graph has fewer objects, or that have none; 0 "
        "leaves out none.",
        json_schema_extra=OPTIONAL,
    )
    shuffle: bool = Field(
        False,
        description="Shuffle the prompts by the seed instead of keeping the order of the source.",
        json_schema_extra=OPTIONAL,
    )
    split: Literal["train", "validation", "heldout"] = Field(
        "train", description="Which part of the combinations to sample; for `shapes` and `scenes`."
    )
    seed: Seed = Field(0, description="Seed of the prompt sampler.")


class PromptsConfig(PluginOptions, VlmOptions, _Prompts):
    """Where prompts and their intended scene graphs come from."""

    named_by: ClassVar[str] = "source"
