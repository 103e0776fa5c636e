"""Options of `invdpo curate prompts`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from invdpo.schemas.config.section import Count, Section, Seed
from invdpo.schemas.config.vlm import Asking


class _Prompts(Section):
    """Without the options that other sections have too, which stand behind these."""

    source: str = Field(
        "shapes", description="Prompt source: `shapes`, `scenes`, `file` with a path, or `hub`."
    )
    path: str | None = Field(
        None,
        description="File, or its address, when the source is `file`; OWNER/NAME when it is `hub`.",
    )
    column: str | None = Field(
        None,
        description="Column with the prompts of a table; `prompt` or `caption_ori` if not given.",
    )
    parser: Literal["auto", "rules", "vlm", "none"] = Field(
        "auto",
        description="What reads scene graphs off prompts that come without: the language "
        "of the embedded world and then `rules`, rules alone, a model behind a server, or nothing.",
    )
    vocabulary: str | None = Field(
        None, description="YAML file with the words of `scenes`; ours if not given."
    )
    hub_split: str = Field("train", description="Split of the data set on the Hub.")
    hub_revision: str | None = Field(None, description="Revision of the data set on the Hub.")
    num_prompts: Count = Field(400, description="How many prompts to sample or, at most, to read.")
    split: Literal["train", "validation", "heldout"] = Field(
        "train", description="Part of the combinations to sample from, for `shapes` and `scenes`."
    )
    seed: Seed = Field(0, description="Seed of the prompt sampler.")


class PromptsConfig(Asking, _Prompts):
    """Where prompts and their intended scene graphs come from."""
