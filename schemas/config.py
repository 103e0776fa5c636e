"""The configuration: one section a stage, every value checked, every field also a flag.

A field's description is its help text on the command line. Fields marked `HOW` say how work is
done, not what comes out: they are left out of a stage's fingerprint, so that changing them never
invalidates a workspace.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from invdpo.schemas.section import HOW, LATER, Count, Dtype, Guidance, Section, Seed


class PromptsConfig(Section):
    """Where prompts and their intended scene graphs come from."""

    source: str = Field(
        "shapes", description="Prompt source: `shapes`, `scenes`, `file` with a path, or `hub`."
    )
    path: str | None = Field(
        None, description="File to read when the source is `file`; OWNER/NAME when it is `hub`."
    )
    column: str | None = Field(
        None, description="Column with the prompts of a table; `prompt` or `caption_ori` if not "
        "given.",
    )
    parser: Literal["auto", "rules", "none"] = Field(
        "auto", description="What reads scene graphs off prompts that come without: the language "
        "of the embedded world and then `rules`, rules alone, or nothing.",
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


class GenerateConfig(Section):
    """How a model turns prompts into candidates."""

    model: str = Field("embedded", description="`embedded`, a diffusers folder, or a Hub id.")
    revision: str | None = Field(None, description="Revision of a Hub model.")
    lora: str | None = Field(None, description="Folder with LoRA weights to load on the model.")
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
    device: str = Field("auto", description="Torch device, or `auto`.", json_schema_extra=HOW)


class AnnotateConfig(Section):
    """Which annotators read scene graphs off the candidates."""

    annotators: tuple[str, ...] = Field(
        ("shapes",), min_length=1, description="Any of import, shapes."
    )
    import_path: str | None = Field(
        None, description="File of graphs for the annotator `import`: .json, .jsonl or .parquet."
    )
    batch_size: Count = Field(32, description="Images annotated together.", json_schema_extra=HOW)
    device: str = Field("auto", description="Torch device, or `auto`.", json_schema_extra=HOW)


class ScoreConfig(Section):
    """Which scorers judge the candidates."""

    scorers: tuple[str, ...] = Field(
        ("composition", "clip"), min_length=1, description="Any of aesthetic, brisque, clip, "
        "composition, hpsv2, imagereward, nsfw, pickscore, remote, vqascore.",
    )
    annotator: str = Field("shapes", description="Annotator whose graphs `composition` judges.")
    clip_model: str = Field(
        "embedded", description="open_clip model for `clip`: `embedded`, a folder, or a name."
    )
    clip_pretrained: str | None = Field(
        None, description="open_clip weights tag or safetensors file for a named clip_model."
    )
    pickscore_model: str = Field(
        "yuvalkirstain/PickScore_v1", description="Model of `pickscore`: a Hub id or a folder."
    )
    pickscore_processor: str = Field(
        "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        description="Image processor and tokenizer of `pickscore`: a Hub id or a folder.",
    )
    hpsv2_version: Literal["2.0", "2.1"] = Field("2.1", description="Version of `hpsv2`.")
    hpsv2_checkpoint: str | None = Field(
        None, description="File with the weights of `hpsv2`; xswu/HPSv2 of the Hub if not given."
    )
    hpsv2_architecture: str = Field(
        "ViT-H-14", description="open_clip architecture of that file."
    )
    aesthetic_head: str | None = Field(
        None, description="File with the layers of `aesthetic`, sac+logos+ava1-l14-linearMSE.pth."
    )
    aesthetic_clip: str = Field(
        "ViT-L-14-quickgelu", description="open_clip model under those layers, or a folder."
    )
    imagereward_folder: str | None = Field(
        None, description="Folder with ImageReward.pt and med_config.json; THUDM/ImageReward of "
        "the Hub if not given.",
    )
    imagereward_tokenizer: str = Field(
        "google-bert/bert-base-uncased", description="Tokenizer of `imagereward`: BERT's."
    )
    vqascore_model: str = Field(
        "llava-hf/llava-1.5-7b-hf",
        description="Model of `vqascore`: any image-text-to-text model, a Hub id or a folder.",
    )
    vqascore_dtype: Dtype = Field("float32", description="Precision of that model.")
    remote_url: str | None = Field(
        None, description="Address of the server of `remote`.", json_schema_extra=HOW
    )
    remote_needs: tuple[Literal["image", "prompt", "graph", "observed_graph"], ...] = Field(
        ("image", "prompt"), min_length=1, description="What `remote` is told of a candidate."
    )
    remote_lower_is_better: bool = Field(False, description="Whether low scores of it are good.")
    remote_key_variable: str = Field(
        "INVDPO_REMOTE_KEY", description="Environment variable with its key, if it wants one.",
        json_schema_extra=HOW,
    )
    remote_timeout: float = Field(
        60.0, gt=0, allow_inf_nan=False, description="Seconds to wait for its answer.",
        json_schema_extra=HOW,
    )
    batch_size: Count = Field(64, description="Images scored together.", json_schema_extra=HOW)
    device: str = Field("auto", description="Torch device, or `auto`.", json_schema_extra=HOW)


class PairConfig(Section):
    """How scores become winner/loser pairs."""

    weights: dict[str, float] = Field(
        {"composition": 1.0, "clip": 0.25}, min_length=1, description="Weight of each scorer."
    )
    min_margin: float = Field(
        1.0, ge=0, allow_inf_nan=False,
        description="Least difference of combined scores, in standard deviations of the prompt.",
    )
    limits: dict[str, float] = Field(
        {}, description="Greatest raw score of a scorer, such as nsfw=0.8; candidates beyond it "
        "are left out.", json_schema_extra=LATER,
    )
    target_pairs: Count | None = Field(None, description="Exact number of pairs wanted.")
    validation_fraction: float = Field(
        0.1, ge=0, lt=1, description="Share of the split groups held out for validation."
    )
    seed: Seed = Field(0, description="Seed that decides which groups are held out.")


class TrainConfig(Section):
    """Inversion-DPO and its baselines."""

    model: str = Field("embedded", description="`embedded`, a diffusers folder, or a Hub id.")
    revision: str | None = Field(None, description="Revision of a Hub model.")
    resolution: Count | None = Field(
        None, description="Side in pixels whose square gives a picture's area; the model's own if "
        "not given.",
    )
    aspect_buckets: bool = Field(
        True, description="Keep pictures near their own shape; otherwise all are cropped square."
    )
    data_format: Literal["auto", "invdpo", "pickapic", "preference", "folders"] = Field(
        "auto", description="Layout of the data set; `auto` recognises it."
    )
    data_revision: str | None = Field(None, description="Revision of a data set on the Hub.")
    max_unreadable: int = Field(
        100, ge=0, description="Rows with unreadable pictures that are skipped before giving up."
    )
    objective: Literal["inversion-dpo", "diffusion-dpo", "sft"] = Field(
        "inversion-dpo", description="What is optimised."
    )
    residual: Literal["implied", "endpoint", "reference"] = Field(
        "endpoint", description="What inversion-dpo measures the noise against."
    )
    beta: float = Field(
        2000.0, ge=0, allow_inf_nan=False, description="Strength of the tie to the base model."
    )
    weighting: Literal["uniform", "snr", "min_snr", "clean"] = Field(
        "min_snr",
        description="Weight of each point: `snr` fades the noisy end out, `min_snr` the clean end; "
        "`clean` weighs errors as those of the clean picture.",
    )
    num_inversion_steps: Count = Field(20, description="Steps of the inversion grid (N).")
    num_points: Count | None = Field(
        4, description="Trajectory points a pair and step (K); none takes all N, the exact loss."
    )
    inversion_guidance_scale: Guidance = Field(1.0, description="Guidance during inversion.")
    cache_points: Count | None = Field(
        None, description="Stratified points a trajectory keeps on disk (M); all N if not given."
    )
    cache_dtype: Dtype = Field("float32", description="Precision of cached latents.")
    tuning: Literal["lora", "full"] = Field("lora", description="Train a LoRA or all weights.")
    lora_rank: Count = Field(16, description="Rank of the LoRA.")
    lora_targets: tuple[str, ...] = Field(
        ("to_q", "to_k", "to_v", "to_out.0"), min_length=1, description="Layers the LoRA adapts."
    )
    ema_decay: float | None = Field(
        None, gt=0, lt=1, description="Decay of a moving average of the weights; the average is "
        "what is judged and saved.",
    )
    optimizer: Literal["adamw", "adamw8bit", "adafactor"] = Field(
        "adamw", description="What moves the weights; `adamw8bit` needs the extra `eightbit`."
    )
    learning_rate: float = Field(
        1e-4, gt=0, allow_inf_nan=False, description="Peak rate; relative to the size of the "
        "weights with adafactor.",
    )
    lr_scheduler: Literal["constant", "cosine"] = Field("constant", description="After warm-up.")
    warmup_steps: int = Field(20, ge=0, description="Steps of linear warm-up.")
    weight_decay: float = Field(0.01, ge=0, description="The optimiser's weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    batch_size: Count = Field(16, description="Pairs a micro-batch of one process.")
    gradient_accumulation_steps: Count = Field(1, description="Micro-batches an optimiser step.")
    unet_batch_size: int = Field(
        0, ge=0, description="UNet samples in one call or graph; lower it to save memory. 0 goes "
        "by the pictures' size: 128 of 64 px, 2 of 512 px, 1 of 1024 px.",
        json_schema_extra=HOW,
    )
    gradient_checkpointing: bool = Field(
        False, description="Compute activations twice rather than keep them.",
        json_schema_extra=HOW,
    )
    max_steps: Count = Field(200, description="Optimiser steps.")
    validate_every: Count = Field(50, description="Steps between looks at the validation pairs.")
    keep: Literal["best", "last"] = Field(
        "best", description="Weights to end with: least validation loss, or the last step's."
    )
    save_every: Count | None = Field(None, description="Steps between kept weights, if any.")
    checkpoint_every: Count | None = Field(
        None, description="Steps between states to go on from when stopped; as validate_every if "
        "not given.", json_schema_extra=HOW,
    )
    pictures_every: Count | None = Field(
        None, description="Steps between validation pictures, if any.", json_schema_extra=HOW
    )
    picture_prompts: str | None = Field(
        None, description="Text file with the prompts of the validation pictures, one a line; some "
        "of the data set's if not given.", json_schema_extra=HOW,
    )
    picture_guidance_scale: Guidance = Field(
        5.0, description="Guidance of the validation pictures.", json_schema_extra=HOW
    )
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = Field(
        ("tensorboard",), description="Where metrics go besides metrics.jsonl; `wandb` needs the "
        "extra of that name.", json_schema_extra=HOW,
    )
    seed: Seed = Field(0, description="Seed of batches, points and initial LoRA weights.")
    dtype: Dtype = Field("float32", description="Precision of model calls; what moves is float32.")
    strategy: Literal["ddp", "fsdp"] = Field(
        "ddp", description="How several processes share the work: `fsdp` also shares the weights.",
        json_schema_extra=HOW,
    )
    device: str = Field("auto", description="Torch device, or `auto`.", json_schema_extra=HOW)


class EvalConfig(Section):
    """Which prompts and samples compare two models."""

    num_prompts: Count = Field(128, description="Held-out prompts; one picture each.")
    seed: Seed = Field(1, description="Seed of prompts and pictures, the same for both models.")


class Config(Section):
    """Everything that decides a run, in the order of the stages."""

    prompts: PromptsConfig = PromptsConfig()
    generate: GenerateConfig = GenerateConfig()
    annotate: AnnotateConfig = AnnotateConfig()
    score: ScoreConfig = ScoreConfig()
    pair: PairConfig = PairConfig()
    train: TrainConfig = TrainConfig()
    eval: EvalConfig = EvalConfig()
