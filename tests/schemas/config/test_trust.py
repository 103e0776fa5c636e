"""Which values a file that came with data may decide, and which need somebody's word here."""

from __future__ import annotations

from pathlib import Path

import pytest

from invdpo.schemas.config import Config, GenerateConfig, PromptsConfig, ScoreConfig, TrainConfig
from invdpo.schemas.config.load import dump_config, load_config, named_fields
from invdpo.schemas.config.section import marks
from invdpo.schemas.config.trust import confirm, is_confirmed, portable
from invdpo.schemas.errors import ConfigError

VLM = "vlm_url vlm_model vlm_key_variable vlm_price_input vlm_price_output vlm_cache"
NEED_A_WORD = {
    "prompts": f"plugins source path vocabulary hub_revision {VLM}",
    "generate": "model revision models lora loras",
    "annotate": "plugins annotators import_path detector_model detector_clip_model "
    f"detector_clip_pretrained alternatives {VLM}",
    "score": "plugins scorers clip_model clip_pretrained pickscore_model pickscore_processor "
    "hpsv2_checkpoint hpsv2_architecture aesthetic_head aesthetic_clip imagereward_folder "
    f"imagereward_tokenizer vqascore_model remote_url remote_key_variable {VLM}",
    "pair": "",
    "dataset": "",
    "train": "model revision family data_revision start_from picture_prompts trackers",
    "eval": "",
    "improve": "",
}
"""Addresses, variables, paths, folders, models, revisions, plug-ins, prices."""

VLM_OTHERS = (
    "vlm_temperature vlm_max_tokens vlm_concurrency vlm_timeout vlm_tries vlm_budget_tokens "
    "vlm_budget_cost"
)
HARMLESS = {
    "prompts": "column parser hub_split num_prompts split seed skip_prompts min_objects shuffle "
    f"{VLM_OTHERS}",
    "generate": "num_candidates num_inference_steps guidance_scale resolution width height "
    "resolutions negative_prompt pipeline_options scheduler seed dtype compile offload "
    "batch_size device",
    "annotate": "detector_query detector_threshold detector_nms detector_attributes "
    f"vlm_vocabulary batch_size device {VLM_OTHERS}",
    "score": "annotator hpsv2_version vqascore_dtype remote_needs remote_lower_is_better "
    f"remote_timeout soft_tifa_mean soft_tifa_answer batch_size device {VLM_OTHERS}",
    "pair": "weights policy normalisation min_margin margins consensus max_loss floors limits "
    "hard_by hard_apart hard_near duplicates duplicate_distance max_per_prompt distinct shares "
    "target_pairs target_images held_out reviews split_by validation_fraction seed",
    "dataset": "image_format quality round license",
    "train": "resolution aspect_buckets data_format max_unreadable objective residual noise "
    "fresh_noise margin_weights sft_share loser_scaling box_weight reference_decay reference "
    "beta weighting num_inversion_steps num_points inversion_guidance_scale "
    "embedded_guidance inversion_corrections max_sequence_length cache_points "
    "cache_dtype tuning lora_rank lora_targets lora_format ema_decay "
    "extrapolation optimizer learning_rate "
    "lr_scheduler warmup_steps weight_decay max_grad_norm batch_size gradient_accumulation_steps "
    "unet_batch_size gradient_checkpointing max_steps validate_every keep save_every "
    "checkpoint_every pictures_every picture_guidance_scale run_name seed dtype strategy device",
    "eval": "num_prompts num_images seed seeds base_guidance_scale held_out",
    "improve": "rounds reference replay_rounds repeat_prompts validation_prompts "
    "validation_images validation_guidance_scales evaluate_every patience train_processes "
    "min_diversity",
}
"""Numbers, choices from a list, and texts that name nothing outside the workspace."""

EVIL = ScoreConfig(remote_url="http://127.0.0.1:9/score", remote_key_variable="HF_TOKEN")
EVERYTHING = frozenset((s, f) for s, fields in NEED_A_WORD.items() for f in fields.split())


@pytest.mark.parametrize("section", list(Config.model_fields))
def test_every_field_is_classified(section: str) -> None:
    """A new field fails here until somebody decides what a stranger could do with it."""
    fields = type(getattr(Config(), section)).model_fields
    local, harmless = set(NEED_A_WORD[section].split()), set(HARMLESS[section].split())
    assert local | harmless == set(fields)
    assert not local & harmless
    assert {name for name, info in fields.items() if marks(info).get("local")} == local


def written(path: Path, config: Config) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(dump_config(config))
    return path


def refusal(config: Config, file: Path, named: set[tuple[str, str]] | None = None) -> str:
    with pytest.raises(ConfigError) as error:
        confirm(config, file, EVERYTHING, named or set(), "invdpo curate score w")
    return str(error.value)


def test_what_a_file_names_needs_a_word_and_then_is_remembered(tmp_path: Path) -> None:
    file = written(tmp_path / "w" / "invdpo.yaml", Config(score=EVIL))
    found = load_config(file)
    lines = refusal(found, file).splitlines()
    assert lines[1:3] == [
        "  score.remote_url: 'http://127.0.0.1:9/score'",
        "  score.remote_key_variable: 'HF_TOKEN'",
    ]
    assert lines[-2].endswith("or accept all, once for this folder:")
    assert lines[-1] == f"  invdpo curate score w --config {file}"
    assert not is_confirmed(found, file, {"score"})
    assert is_confirmed(found, file, {"train"})
    confirm(found, file, EVERYTHING, named_fields([file]))
    confirm(found, file, EVERYTHING, set())
    assert is_confirmed(found, file, {"score"})


def test_a_word_holds_for_one_folder_and_one_value(tmp_path: Path) -> None:
    config = Config(generate=GenerateConfig(model="lab/model"))
    here, copy = (written(tmp_path / name / "invdpo.yaml", config) for name in ("here", "copy"))
    confirm(config, here, EVERYTHING, {("generate", "model")})
    assert "generate.model: 'lab/model'" in refusal(config, copy)
    other = Config(generate=GenerateConfig(model="lab/other"))
    assert "generate.model: 'lab/other'" in refusal(other, here)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "here")
    confirm(config, link / "invdpo.yaml", EVERYTHING, set())


def test_options_that_the_command_does_not_use_are_not_asked_for(tmp_path: Path) -> None:
    used = {("pair", "weights")}
    confirm(Config(score=EVIL), tmp_path / "invdpo.yaml", used, set())


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(score=ScoreConfig(scorers=("clip",))),
        Config(train=TrainConfig(trackers=())),
        Config(score=ScoreConfig(clip_pretrained=None), generate=GenerateConfig(model="embedded")),
    ],
)
def test_what_ships_with_the_package_needs_no_word(config: Config, tmp_path: Path) -> None:
    confirm(config, tmp_path / "invdpo.yaml", EVERYTHING, set())


def test_without_a_home_nothing_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is a folder that lies where the command is run taken for one's home."""
    config, file = Config(prompts=PromptsConfig(path="p.txt")), tmp_path / "invdpo.yaml"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    confirm(config, file, EVERYTHING, {("prompts", "path")})
    text = refusal(config, file)
    assert "prompts.path" in text
    assert "each time, as your choice can't be stored here (set XDG_STATE_HOME" in text
    assert list(tmp_path.iterdir()) == []


def test_only_what_decides_results_travels() -> None:
    config = Config(
        generate=GenerateConfig(model="lab/model", num_candidates=3, device="cuda:7"),
        score=EVIL.model_copy(update={"clip_model": "ViT-L-14"}),
        train=TrainConfig(picture_prompts="/etc/passwd", pictures_every=1, beta=3.0),
    )
    config = config.model_copy(
        update={"dataset": config.dataset.model_copy(update={"license": "mit"})}
    )
    left, dropped = portable(config)
    assert dropped == [
        "generate.device",
        "score.remote_key_variable",
        "score.remote_url",
        "train.picture_prompts",
        "train.pictures_every",
    ]
    assert (left.generate.model, left.generate.num_candidates) == ("lab/model", 3)
    assert (left.score.clip_model, left.score.remote_url) == ("ViT-L-14", None)
    assert (left.train.beta, left.train.picture_prompts) == (3.0, None)
    assert left.dataset.license == "mit"
    for name in Config.model_fields:
        assert getattr(left, name).fingerprint() == getattr(config, name).fingerprint()
