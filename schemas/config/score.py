"""Options of `invdpo curate score`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from invdpo.schemas.config.plugin_options import PluginOptions
from invdpo.schemas.config.section import (
    EMBEDDED,
    LOCAL,
    OPTIONAL,
    RUNTIME,
    Count,
    Dtype,
    Section,
)
from invdpo.schemas.config.vlm import VlmOptions


class _Score(Section):
    """The options of this section alone; the help shows them before those that others share."""

    scorers: tuple[str, ...] = Field(
        ("composition", "clip"),
        min_length=1,
        description="Any of aesthetic, brisque, clip, composition, hpsv2, imagereward, nsfw, "
        "pickscore, remote, soft_tifa, vqascore, or plug-ins: PACKAGE.MODULE:CLASS or "
        "NAME=PACKAGE.MODULE:CLASS. Scores of hpsv2, imagereward, pickscore and remote are "
        "comparable only between images of one prompt.",
        json_schema_extra=LOCAL,
    )
    annotator: str = Field(
        "shapes", description="Annotator whose graphs `composition` compares with the prompt."
    )
    clip_model: str = Field(
        EMBEDDED,
        description="open_clip model of `clip`: a name, a folder, or `embedded`.",
        json_schema_extra=LOCAL,
    )
    clip_pretrained: str | None = Field(
        None,
        description="Weights of a named clip_model: an open_clip tag or a safetensors file.",
        json_schema_extra=LOCAL,
    )
    pickscore_model: str = Field(
        "yuvalkirstain/PickScore_v1",
        description="Model of `pickscore`: a Hub id or a folder.",
        json_schema_extra=LOCAL,
    )
    pickscore_processor: str = Field(
        "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        description="Image processor and tokenizer of `pickscore`: a Hub id or a folder.",
        json_schema_extra=LOCAL,
    )
    hpsv2_version: Literal["2.0", "2.1"] = Field("2.1", description="Version of `hpsv2`.")
    hpsv2_checkpoint: str | None = Field(
        None,
        description="File with the weights of `hpsv2`; xswu/HPSv2 on the Hub if not given.",
        json_schema_extra=LOCAL,
    )
    hpsv2_architecture: str = Field(
        "ViT-H-14", description="open_clip architecture of those weights.", json_schema_extra=LOCAL
    )
    aesthetic_head: str | None = Field(
        None,
        description="File with the weights of `aesthetic`: sac+logos+ava1-l14-linearMSE.pth.",
        json_schema_extra=LOCAL,
    )
    aesthetic_clip: str = Field(
        "ViT-L-14-quickgelu",
        description="open_clip model that `aesthetic` builds on: a name or a folder.",
        json_schema_extra=LOCAL,
    )
    imagereward_folder: str | None = Field(
        None,
        description="Folder with ImageReward.pt and med_config.json; THUDM/ImageReward on "
        "the Hub if not given.",
        json_schema_extra=LOCAL,
    )
    imagereward_tokenizer: str = Field(
        "google-bert/bert-base-uncased",
        description="Tokenizer of `imagereward`: a Hub id or a folder.",
        json_schema_extra=LOCAL,
    )
    vqascore_model: str = Field(
        "llava-hf/llava-1.5-7b-hf",
        description="Model of `vqascore`: any image-text-to-text model, a Hub id or a folder.",
        json_schema_extra=LOCAL,
    )
    vqascore_dtype: Dtype = Field("float32", description="Precision of the model of `vqascore`.")
    remote_url: str | None = Field(
        None, description="URL of the server of `remote`.", json_schema_extra=RUNTIME | LOCAL
    )
    remote_needs: tuple[Literal["image", "prompt", "graph", "observed_graph"], ...] = Field(
        ("image", "prompt"),
        min_length=1,
        description="What is sent to the server of `remote` for each candidate.",
    )
    remote_lower_is_better: bool = Field(
        False, description="Whether lower scores of `remote` are better."
    )
    remote_key_variable: str = Field(
        "INVDPO_REMOTE_KEY",
        description="Environment variable that holds the key of `remote`, if its server needs one.",
        json_schema_extra=RUNTIME | LOCAL,
    )
    remote_timeout: float = Field(
        60.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds to wait for an answer of `remote`.",
        json_schema_extra=RUNTIME,
    )
    batch_size: Count = Field(64, description="Images scored together.", json_schema_extra=RUNTIME)
    device: str = Field(
        "auto",
        description="Torch device, several such as cuda:0,cuda:1, or `auto`.",
        json_schema_extra=RUNTIME,
    )
    soft_tifa_mean: Literal["arithmetic", "geometric"] = Field(
        "arithmetic",
        description="How `soft_tifa` averages over the facts of a prompt.",
        json_schema_extra=OPTIONAL,
    )
    soft_tifa_answer: Literal["probability", "word"] = Field(
        "probability",
        description="Score of a fact in `soft_tifa`: the probability of yes, or 1 or 0 by the "
        "answered word, for servers without logprobs.",
        json_schema_extra=OPTIONAL,
    )


class ScoreConfig(PluginOptions, VlmOptions, _Score):
    """Which scorers score the candidates."""

    named_by: ClassVar[str] = "scorers"
