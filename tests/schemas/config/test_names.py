"""One name an option: new and older names say the same, and what is stored is as it was.

`stored.json` was made by the last version that had the older names alone: for each configuration
the SHA-256 of the file that a workspace keeps, and of the fingerprints of all sections.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from invdpo.schemas import ConfigError
from invdpo.schemas.config import Config
from invdpo.schemas.config.load import dump_config, load_config, resolve_config
from invdpo.schemas.config.section import Section

STORED = json.loads(Path(__file__).with_name("stored.json").read_text(encoding="utf-8"))
ADDED_LATER = (
    "  lora_format: diffusers\n",
    "  inversion_corrections: 0\n",
    "  embedded_guidance: 1.0\n",
    "  max_sequence_length: null\n",
    "  skip_prompts: 0\n",
    "  min_objects: 0\n",
    "  shuffle: false\n",
    "  plugins: {}\n",
    "  validation_guidance_scales: []\n",
    "  evaluate_every: 1\n",
    "  repeat_prompts: false\n",
    "  base_guidance_scale: null\n",
    "  family: null\n",
    "  round: null\n",
    "  pipeline_options: {}\n",
    "  noise: inversion\n",
    "  margin_weights: false\n",
    "  sft_share: 0.0\n",
    "  loser_scaling: null\n",
    "  box_weight: 1.0\n",
    "  reference_decay: null\n",
    "  start_from: null\n",
    "  reference: base\n",
    "  extrapolation: 0.0\n",
    "  run_name: null\n",
    "  soft_tifa_mean: arithmetic\n  soft_tifa_answer: probability\n  vlm_url: null\n"
    "  vlm_model: null\n  vlm_key_variable: INVDPO_VLM_KEY\n  vlm_temperature: 0.0\n"
    "  vlm_max_tokens: 2048\n  vlm_concurrency: 8\n  vlm_timeout: 120.0\n  vlm_tries: 5\n"
    "  vlm_price_input: 0.0\n  vlm_price_output: 0.0\n  vlm_budget_tokens: null\n"
    "  vlm_budget_cost: null\n  vlm_cache: null\n",
    "  num_images: 1\n",
    "  seeds: []\n  held_out: null\n",
    "improve:\n  rounds: 3\n  reference: previous\n  replay_rounds: 0\n  validation_prompts: 128\n"
    "  validation_images: 2\n  patience: null\n  train_processes: 1\n  min_diversity: 0.8\n",
)
"""Options that were not there yet, as lines of the file."""
DEFAULTS_THEN = {
    "train": {
        "weighting": "min_snr",
        "lora_targets": ("to_q", "to_k", "to_v", "to_out.0"),
        "fresh_noise": 0.0,
    }
}
"""Where the default is another one now, what it was."""
ODD_FOLDERS = ("folders/a,b@c+d=2", "folders/a@b", "runs/rate=0.1,2")
Values = dict[str, Any]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def section(name: str, *layers: Values) -> Section:
    """A section from files in their order, the last one from flags."""
    paths = []
    for number, values in enumerate(layers[:-1]):
        path = Path(f"{number}.yaml")
        path.write_text(json.dumps({name: values}), encoding="utf-8")
        paths.append(path)
    found: Section = getattr(resolve_config(paths, {name: layers[-1]}), name)
    return found


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ODD_FOLDERS:
        Path(folder).mkdir(parents=True)


@pytest.mark.parametrize("case", STORED, ids=[json.dumps(case["given"]) for case in STORED])
def test_older_names_are_stored_as_they_were(case: Values) -> None:
    given = {"train": {}} | case["given"]
    given["train"] = DEFAULTS_THEN["train"] | given["train"]
    config = Config.model_validate(given)
    sections = [name for name in Config.model_fields if name != "improve"]
    fingerprints = {name: getattr(config, name).fingerprint() for name in sections}
    text = dump_config(config)
    for line in ADDED_LATER:
        assert line in text
        text = text.replace(line, "")
    assert sha256(text) == case["stored"]
    assert sha256(json.dumps(fingerprints, sort_keys=True)) == case["fingerprints"]


@pytest.mark.parametrize(("n", "case"), list(enumerate(STORED)))
def test_what_is_stored_reads_back_on_a_machine_without_the_folders(
    n: int, case: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = dump_config(Config.model_validate(case["given"]))
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    path = Path(f"{n}.yaml")
    path.write_text(text, encoding="utf-8")
    assert dump_config(load_config(path)) == text


@pytest.mark.parametrize(
    ("name", "new", "old"),
    [
        ("generate", {"model": "lab/base@v1"}, {"model": "lab/base", "revision": "v1"}),
        ("generate", {"model": ["lab/base"]}, {"model": "lab/base"}),
        ("generate", {"model": "a, lab/b@v1"}, {"models": ["a", "lab/b@v1"]}),
        ("generate", {"model": ["a", "b+tuned=0.5"]}, {"models": ["a", "b+tuned=0.5"]}),
        ("generate", {"model": "a+tuned"}, {"models": ["a+tuned"]}),
        ("generate", {"model": ODD_FOLDERS[0]}, {"model": ODD_FOLDERS[0], "models": []}),
        ("generate", {"lora": ["x"]}, {"lora": "x"}),
        ("generate", {"lora": "x=0.5"}, {"loras": ["x=0.5"]}),
        ("generate", {"lora": "x=0.5,y"}, {"loras": ["x=0.5", "y"]}),
        ("generate", {"lora": ["x", "y"]}, {"loras": ["x", "y"]}),
        ("generate", {"lora": ODD_FOLDERS[2]}, {"lora": ODD_FOLDERS[2], "loras": []}),
        ("generate", {"resolution": "64x48"}, {"width": 64, "height": 48}),
        ("generate", {"resolution": ["64X48"]}, {"width": 64, "height": 48}),
        ("generate", {"resolution": "64x48, 32x32"}, {"resolutions": ["64x48", "32x32"]}),
        ("generate", {"resolution": None}, {}),
        ("pair", {"min_margin": "0.5,clip=0.25"}, {"min_margin": 0.5, "margins": {"clip": 0.25}}),
        ("pair", {"min_margin": [2, "a=1", "b=0"]}, {"min_margin": 2, "margins": {"a": 1, "b": 0}}),
        ("pair", {"min_margin": "clip=0.25"}, {"margins": {"clip": 0.25}}),
        ("train", {"model": "lab/base@v1"}, {"model": "lab/base", "revision": "v1"}),
        ("train", {"model": ODD_FOLDERS[1]}, {"model": ODD_FOLDERS[1], "revision": None}),
    ],
)
def test_the_new_name_means_the_older_ones(name: str, new: Values, old: Values) -> None:
    assert section(name, new) == section(name, old)


@pytest.mark.parametrize(
    ("name", "layers", "same"),
    [
        ("generate", [{"models": ["a", "b"]}, {"model": "c"}], {"model": "c"}),
        ("generate", [{"model": "c", "revision": "v"}, {"model": "a,b"}], {"models": ["a", "b"]}),
        ("generate", [{"model": "a,b"}, {"seed": 1}], {"models": ["a", "b"], "seed": 1}),
        ("generate", [{"revision": "v"}, {"model": "c"}], {"model": "c", "revision": "v"}),
        ("generate", [{"loras": ["a"]}, {"lora": "b"}], {"lora": "b"}),
        ("generate", [{"loras": ["a"]}, {"lora": None}], {}),
        ("generate", [{"lora": "b"}, {"loras": []}], {"lora": "b"}),
        (
            "generate",
            [{"resolutions": ["8x8", "9x9"]}, {"resolution": "16x24"}],
            {"width": 16, "height": 24},
        ),
        ("generate", [{"width": 8, "height": 8}, {"resolution": None}], {}),
        ("generate", [{"width": 8, "height": 8}, {"width": 9}], {"width": 9, "height": 8}),
        (
            "generate",
            [{"width": 8, "height": 8}, {"resolution": "8x8,9x9"}],
            {"resolutions": ["8x8", "9x9"]},
        ),
        (
            "pair",
            [{"margins": {"a": 1}}, {"min_margin": "2"}],
            {"min_margin": 2, "margins": {"a": 1}},
        ),
        ("pair", [{"margins": {"a": 1}}, {"min_margin": "b=2"}], {"margins": {"b": 2}}),
        (
            "pair",
            [{"target_images": 40}, {"target_pairs": "5"}],
            {"target_pairs": 5, "distinct": True},
        ),
        ("pair", [{"target_pairs": 5}, {"target_images": "40"}], {"target_images": 40}),
        (
            "pair",
            [{"target_images": 40}, {"target_pairs": "20"}],
            {"target_images": 40, "target_pairs": 20},
        ),
    ],
)
def test_a_later_layer_replaces_older_names_of_an_earlier_one(
    name: str, layers: list[Values], same: Values
) -> None:
    assert section(name, *layers) == section(name, same)


def test_a_stored_file_is_overridden_too() -> None:
    """It has all keys, those of both names."""
    stored = Config.model_validate({"generate": {"models": ["a", "b"], "loras": ["c", "d"]}})
    Path("stored.yaml").write_text(dump_config(stored), encoding="utf-8")
    config = resolve_config([Path("stored.yaml")], {"generate": {"model": "e", "lora": "f=2"}})
    assert config.generate == section("generate", {"model": "e", "loras": ["f=2"]})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"generate": {"resolution": "8x8", "width": 8}}, "give either this or width"),
        ({"generate": {"resolution": "0x8"}}, "generate.width: found '0'"),
        ({"generate": {"model": [3, "a"]}}, "generate.models.0: found 3"),
        ({"pair": {"min_margin": "clip=much"}}, "pair.margins.clip: found 'much'"),
        ({"pair": {"min_margin": "1,2"}}, "pair.min_margin: found ['1', '2']"),
        ({"generate": {"modle": "x"}}, "allowed: model, lora, num_candidates"),
    ],
)
def test_wrong_values_are_told_where_they_end_up(values: dict[str, Values], expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(None, values)
    assert expected in str(error.value)
    assert str(error.value).startswith("options: ")
