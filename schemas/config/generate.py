"""Options of `invdpo curate generate`."""

from __future__ import annotations

from pydantic import Field

from invdpo.schemas.config.section import HOW, LATER, Count, Dtype, Guidance, Section, Seed


class GenerateConfig(Section):
    """How a model turns prompts into candidates."""

    model: str = Field("embedded", description="`embedded`, a diffusers folder, or a Hub id.")
    revision: str | None = Field(None, description="Revision of a Hub model.")
    models: tuple[str, ...] = Field(
        (),
        description="Several models instead of one, with as many candidates of each: MODEL, "
        "MODEL@REVISION or MODEL+LORA=SCALE.",
        json_schema_extra=LATER,
    )
    lora: str | None = Field(
        None, description="LoRA to load on the model: a folder, a file, or a Hub id."
    )
    loras: tuple[str, ...] = Field(
        (),
        description="Several LoRAs instead of one, or one with a scale: LORA or LORA=SCALE.",
        json_schema_extra=LATER,
    )
    num_candidates: Count = Field(8, description="Candidates a prompt (K).")
    num_inference_steps: Count = Field(20, description="Sampling steps.")
    guidance_scale: Guidance = Field(4.0, description="Classifier-free guidance; 1 turns it off.")
    width: Count | None = Field(None, description="Pixels; the model's own size when not given.")
    height: Count | None = Field(None, description="Pixels; the model's own size when not given.")
    resolutions: tuple[str, ...] = Field(
        (),
        description="Sizes such as 1024x1024,832x1216, one of which each candidate's seed "
        "chooses; instead of width and height.",
        json_schema_extra=LATER,
    )
    negative_prompt: str | None = Field(
        None, description="What pictures should not show.", json_schema_extra=LATER
    )
    scheduler: str | None = Field(
        None,
        description="Scheduler's class, such as DDIMScheduler; the model's own if not given.",
        json_schema_extra=LATER,
    )
    seed: Seed = Field(0, description="Base seed from which each candidate's own seed derives.")
    dtype: Dtype = Field("float32", description="Precision of the model.")
    compile: bool = Field(
        False,
        description="Compile the denoiser; its first batch takes long, and pixels may "
        "differ by rounding.",
        json_schema_extra=HOW,
    )
    offload: bool = Field(
        False,
        description="Keep the model's parts in main memory until each is at work.",
        json_schema_extra=HOW,
    )
    batch_size: Count = Field(64, description="Images sampled together.", json_schema_extra=HOW)
    device: str = Field(
        "auto",
        description="Torch device, several such as cuda:0,cuda:1, or `auto`.",
        json_schema_extra=HOW,
    )
