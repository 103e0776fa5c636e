"""Options of `invdpo train`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from invdpo.schemas.config.entries import split_revision
from invdpo.schemas.config.section import (
    EMBEDDED,
    EMBEDDED_FLOW,
    EMBEDDED_FLOW_TEXT,
    HIDDEN,
    LOCAL,
    OPTIONAL,
    RUNTIME,
    TEXT,
    Count,
    Dtype,
    Guidance,
    Section,
    Seed,
    Share,
)
from invdpo.schemas.config.train_checks import (
    check_extrapolation,
    check_fresh_noise,
    check_layers,
    check_noise,
)


class TrainConfig(Section):
    """Inversion-DPO and its baselines."""

    model: str = Field(
        EMBEDDED,
        description="`embedded`, `embedded-flow`, a diffusers folder, or a Hub id, with @REVISION "
        "if needed.",
        json_schema_extra=LOCAL,
    )
    revision: str | None = Field(
        None, description="Hub model's revision: MODEL@REVISION.", json_schema_extra=HIDDEN | LOCAL
    )
    family: str | None = Field(
        None,
        description="Plug-in that trains the model, PACKAGE.MODULE:CLASS; chosen by the class of "
        "the pipeline if not given.",
        json_schema_extra=OPTIONAL | LOCAL,
    )
    resolution: Count | None = Field(
        None,
        description="Images are scaled to the area of a square with this side in pixels; the "
        "model's own size if not given.",
    )
    aspect_buckets: bool = Field(
        True, description="Keep images near their aspect ratio; otherwise all are cropped square."
    )
    data_format: Literal["auto", "invdpo", "pickapic", "preference", "folders"] = Field(
        "auto", description="Layout of the dataset; `auto` recognises it."
    )
    data_revision: str | None = Field(
        None, description="Revision of a dataset on the Hub.", json_schema_extra=LOCAL
    )
    max_unreadable: int = Field(
        100,
        ge=0,
        description="Maximum number of rows with unreadable images to skip; more stop the run.",
    )
    objective: Literal["inversion-dpo", "diffusion-dpo", "sft"] = Field(
        "inversion-dpo", description="Training objective."
    )
    residual: Literal["implied", "endpoint", "reference"] = Field(
        "endpoint",
        description="Target noise of inversion-dpo, which the prediction is compared with.",
    )
    noise: Annotated[Literal["inversion", "own", "fresh"], AfterValidator(check_noise)] = Field(
        "inversion",
        description="Source of an image's noise in inversion-dpo: the inversion, its own initial "
        "noise (from its seed), or fresh noise for each prompt and point.",
        json_schema_extra=OPTIONAL,
    )
    fresh_noise: Annotated[Share | None, AfterValidator(check_fresh_noise)] = Field(
        None,
        description="Share of fresh noise in a trajectory (eta); if not given, 0.8 for `endpoint` "
        "with the noise of the inversion, else 0.",
        json_schema_extra=OPTIONAL | {"unused": 0.0},
    )
    beta: float = Field(
        2000.0,
        ge=0,
        allow_inf_nan=False,
        description="Strength of the regularisation towards the reference model.",
    )
    margin_weights: bool = Field(
        False,
        description="Weight each pair by 2*sigmoid(margin) - 1, so that small margins count less.",
        json_schema_extra=OPTIONAL,
    )
    sft_share: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Share of supervised fine-tuning on the chosen images, in units of their "
        "reward; it keeps them from becoming less likely.",
        json_schema_extra=OPTIONAL,
    )
    loser_scaling: Share | None = Field(
        None,
        description="Scale the gradient of the rejected image so that each step still reduces "
        "the error of the chosen one by at least this share (Diffusion-SDPO's mu).",
        json_schema_extra=OPTIONAL,
    )
    box_weight: float = Field(
        1.0,
        ge=1,
        le=100,
        description="Weight of errors inside the boxes of objects that are right in the chosen "
        "image and wrong in the rejected one, relative to errors elsewhere.",
        json_schema_extra=OPTIONAL,
    )
    reference_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Use a moving average of the weights with this decay as the reference, "
        "computed in every step. The reference is fixed if not given.",
        json_schema_extra=OPTIONAL,
    )
    weighting: Literal["auto", "uniform", "snr", "min_snr", "clean"] = Field(
        "auto",
        description="Weight of each point: `snr` fades out the noisy end, `min_snr` the clean end; "
        "`clean` measures errors in the clean image. `auto` is `min_snr` for models that predict "
        "noise and `uniform` for flow-matching models.",
    )
    num_inversion_steps: Count = Field(20, description="Steps of the inversion (N).")
    num_points: Count | None = Field(
        4, description="Trajectory points per pair and step (K); `none` uses all N, the exact loss."
    )
    inversion_guidance_scale: Guidance = Field(
        1.0, description="Classifier-free guidance during inversion; 1 turns it off."
    )
    embedded_guidance: Guidance = Field(
        1.0,
        description="Guidance that models distilled with it (FLUX.1-dev) take as an input, in "
        "inversion and training; inversion is inaccurate above 1.",
        json_schema_extra=OPTIONAL,
    )
    max_sequence_length: Count | None = Field(
        None,
        description="Text tokens for a flow-matching model; give the number with which the "
        "images were generated. The pipeline's own number if not given.",
        json_schema_extra=OPTIONAL,
    )
    inversion_corrections: int = Field(
        0,
        ge=0,
        le=10,
        description="Number of times that each inversion step is repeated with the prediction at "
        "its end, which brings it closer to the sampler's path (ReNoise).",
        json_schema_extra=OPTIONAL,
    )
    cache_points: Count | None = Field(
        None,
        description="Stratified points per trajectory stored on disk (M); all N if not given.",
    )
    cache_dtype: Dtype = Field("float32", description="Precision of cached latents.")
    tuning: Literal["lora", "full"] = Field("lora", description="Train a LoRA or all weights.")
    lora_rank: Count = Field(16, description="Rank of the LoRA.")
    lora_targets: Annotated[tuple[str, ...], AfterValidator(check_layers)] = Field(
        ("auto",), min_length=1, description="Layers that the LoRA adapts; `auto`: the usual ones."
    )
    start_from: str | None = Field(
        None,
        description="Weights of an earlier training to start from: the folder of a LoRA or, with "
        "--tuning full, of a model.",
        json_schema_extra=OPTIONAL | LOCAL,
    )
    reference: Literal["base", "start"] = Field(
        "base",
        description="Reference model of the training: --model, or the weights that it starts from.",
        json_schema_extra=OPTIONAL,
    )
    lora_format: Literal["diffusers", "kohya"] = Field(
        "diffusers",
        description="Names of the LoRA's tensors; `kohya` for ComfyUI and A1111.",
        json_schema_extra=OPTIONAL,
    )
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Decay of a moving average of the weights; the average is validated and saved.",
    )
    extrapolation: Annotated[float, AfterValidator(check_extrapolation)] = Field(
        0.0,
        ge=0,
        le=10,
        description="With --tuning full: validate and save weights that are further from the start "
        "than the trained ones, by this share of the way (ExPO).",
        json_schema_extra=OPTIONAL,
    )
    optimizer: Literal["adamw", "adamw8bit", "adafactor"] = Field(
        "adamw", description="Optimiser; `adamw8bit` needs the extra `eightbit`."
    )
    learning_rate: float = Field(
        1e-4,
        gt=0,
        allow_inf_nan=False,
        description="Peak learning rate; with adafactor relative to the scale of the weights.",
    )
    lr_scheduler: Literal["constant", "cosine"] = Field(
        "constant", description="Schedule of the learning rate after the warm-up."
    )
    warmup_steps: int = Field(20, ge=0, description="Steps of linear warm-up.")
    weight_decay: float = Field(0.01, ge=0, description="The optimiser's weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    batch_size: Count = Field(16, description="Pairs per micro-batch of one process.")
    gradient_accumulation_steps: Count = Field(1, description="Micro-batches per optimiser step.")
    unet_batch_size: int = Field(
        0,
        ge=0,
        description="UNet samples in one call; lower it to save memory. 0 selects it by the "
        "size of the images: 128 at 64 px, 2 at 512 px, 1 at 1024 px.",
        json_schema_extra=RUNTIME,
    )
    gradient_checkpointing: bool = Field(
        False, description="Save memory by computing activations twice.", json_schema_extra=RUNTIME
    )
    max_steps: Count = Field(200, description="Optimiser steps.")
    validate_every: Count = Field(50, description="Steps between validations.")
    keep: Literal["best", "last"] = Field(
        "best",
        description="Weights to save: those with the lowest validation loss, or the last step's.",
    )
    save_every: Count | None = Field(
        None, description="Steps between extra copies of the weights; no copies if not given."
    )
    checkpoint_every: Count | None = Field(
        None,
        description="Steps between saved states, from which a stopped run resumes; "
        "validate_every if not given.",
        json_schema_extra=RUNTIME,
    )
    pictures_every: Count | None = Field(
        None,
        description="Steps between validation images; no images if not given.",
        json_schema_extra=RUNTIME,
    )
    picture_prompts: str | None = Field(
        None,
        description="Text file with the prompts of the validation images, one per line; some "
        "of the dataset's if not given.",
        json_schema_extra=RUNTIME | LOCAL,
    )
    picture_guidance_scale: Guidance = Field(
        5.0,
        description="Classifier-free guidance of the validation images.",
        json_schema_extra=RUNTIME,
    )
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = Field(
        ("tensorboard",),
        description="Where metrics and images go besides files; `wandb` needs the extra `wandb`.",
        json_schema_extra=RUNTIME | LOCAL,
    )
    run_name: str | None = Field(
        None,
        description="Name in the trackers; the output's last two folders if not given.",
        json_schema_extra=RUNTIME | TEXT,
    )
    seed: Seed = Field(0, description="Seed of batches, points and initial LoRA weights.")
    dtype: Dtype = Field(
        "float32", description="Precision of model calls; trained weights are kept in float32."
    )
    strategy: Literal["ddp", "fsdp"] = Field(
        "ddp",
        description="How several processes share the work; `fsdp` also splits the weights.",
        json_schema_extra=RUNTIME,
    )
    device: str = Field("auto", description="Torch device, or `auto`.", json_schema_extra=RUNTIME)

    @classmethod
    def normalise(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """`MODEL@REVISION` in its two fields."""
        values = super().normalise(given)
        if isinstance(values.get("model"), str) and "revision" not in values:
            name, revision = split_revision(values["model"])
            values |= {"model": name} | ({"revision": revision} if revision else {})
        return (EMBEDDED_FLOW_TEXT if values.get("model") == EMBEDDED_FLOW else {}) | values
