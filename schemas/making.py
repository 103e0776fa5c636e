"""Options of the stages that make candidates and read scene graphs off them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from invdpo.schemas.asking import Asking
from invdpo.schemas.section import HOW, LATER, Count, Dtype, Guidance, Section, Seed


class _Prompts(Section):
    """Without the options that other sections have too, which stand behind these."""

    source: str = Field(
        "shapes", description="Prompt source: `shapes`, `scenes`, `file` with a path, or `hub`."
    )
    path: str | None = Field(
        None, description="File, or its address, when the source is `file`; OWNER/NAME when it is "
        "`hub`."
    )
    column: str | None = Field(
        None, description="Column with the prompts of a table; `prompt` or `caption_ori` if not "
        "given.",
    )
    parser: Literal["auto", "rules", "vlm", "none"] = Field(
        "auto", description="What reads scene graphs off prompts that come without: the language "
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


class GenerateConfig(Section):
    """How a model turns prompts into candidates."""

    model: str = Field("embedded", description="`embedded`, a diffusers folder, or a Hub id.")
    revision: str | None = Field(None, description="Revision of a Hub model.")
    models: tuple[str, ...] = Field(
        (), description="Several models instead of one, with as many candidates of each: MODEL, "
        "MODEL@REVISION or MODEL+LORA=SCALE.", json_schema_extra=LATER,
    )
    lora: str | None = Field(
        None, description="LoRA to load on the model: a folder, a file, or a Hub id."
    )
    loras: tuple[str, ...] = Field(
        (), description="Several LoRAs instead of one, or one with a scale: LORA or LORA=SCALE.",
        json_schema_extra=LATER,
    )
    num_candidates: Count = Field(8, description="Candidates a prompt (K).")
    num_inference_steps: Count = Field(20, description="Sampling steps.")
    guidance_scale: Guidance = Field(4.0, description="Classifier-free guidance; 1 turns it off.")
    width: Count | None = Field(None, description="Pixels; the model's own size when not given.")
    height: Count | None = Field(None, description="Pixels; the model's own size when not given.")
    resolutions: tuple[str, ...] = Field(
        (), description="Sizes such as 1024x1024,832x1216, one of which each candidate's seed "
        "chooses; instead of width and height.", json_schema_extra=LATER,
    )
    negative_prompt: str | None = Field(
        None, description="What pictures should not show.", json_schema_extra=LATER
    )
    scheduler: str | None = Field(
        None, description="Scheduler's class, such as DDIMScheduler; the model's own if not given.",
        json_schema_extra=LATER,
    )
    seed: Seed = Field(0, description="Base seed from which each candidate's own seed derives.")
    dtype: Dtype = Field("float32", description="Precision of the model.")
    compile: bool = Field(
        False, description="Compile the denoiser; its first batch takes long, and pixels may "
        "differ by rounding.", json_schema_extra=HOW,
    )
    offload: bool = Field(
        False, description="Keep the model's parts in main memory until each is at work.",
        json_schema_extra=HOW,
    )
    batch_size: Count = Field(64, description="Images sampled together.", json_schema_extra=HOW)
    device: str = Field(
        "auto", description="Torch device, several such as cuda:0,cuda:1, or `auto`.",
        json_schema_extra=HOW,
    )


class _Annotate(Section):
    """Without the options that other sections have too, which stand behind these."""

    annotators: tuple[str, ...] = Field(
        ("shapes",), min_length=1, description="Any of detector, import, shapes, vlm."
    )
    import_path: str | None = Field(
        None, description="File of graphs, or its address, for `import`: .json, .jsonl, .parquet."
    )
    detector_model: str = Field(
        "google/owlv2-base-patch16-ensemble", description="Model of `detector`: OWLv2 or Grounding "
        "DINO in transformers' form, a Hub id or a folder.",
    )
    detector_query: str = Field(
        "{label}", pattern=r"\{label\}", description="What it is asked; {label} stands for an "
        "object's name."
    )
    detector_threshold: float | None = Field(
        None, gt=0, lt=1, description="Least confidence of a box; 0.1 of OWLv2 and 0.25 of "
        "Grounding DINO if not given.",
    )
    detector_nms: float = Field(
        0.5, gt=0, le=1, description="Of boxes with one name that overlap more (intersection over "
        "union), the surest is kept.",
    )
    detector_attributes: tuple[str, ...] = Field(
        ("colour", "material", "texture", "shape", "age"), description="Kinds of attributes that "
        "`detector` tells from the cut-outs; others stay unknown.",
    )
    detector_clip_model: str = Field(
        "ViT-L-14", description="open_clip model that chooses them: a name, a folder, `embedded`."
    )
    detector_clip_pretrained: str | None = Field(
        "datacomp_xl_s13b_b90k", description="open_clip weights tag or safetensors file of it."
    )
    vlm_vocabulary: Literal["closed", "open"] = Field(
        "closed", description="Whether `vlm` may use only the words of the prompt's graph and "
        "their alternatives, or any.",
    )
    alternatives: str | None = Field(
        None, description="YAML file whose attributes by kind are the alternatives; ours if not "
        "given.",
    )
    batch_size: Count = Field(32, description="Images annotated together.", json_schema_extra=HOW)
    device: str = Field("auto", description="Torch device, or `auto`.", json_schema_extra=HOW)


class AnnotateConfig(Asking, _Annotate):
    """Which annotators read scene graphs off the candidates."""
