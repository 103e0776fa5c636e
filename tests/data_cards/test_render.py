"""Cards: whole ones as golden files, and metadata that survives any name."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from invdpo.data_cards import render_dataset_card, render_model_card
from invdpo.data_cards.escape import code, plain
from tests.hub_repos import card_errors

GOLDEN = Path(__file__).parent / "golden"

DATASET: dict[str, Any] = {
    "name": "shapes",
    "num_train": 1200,
    "shared": 0,
    "num_validation": 130,
    "scorers": ["composition", "clip"],
    "models": ["embedded"],
    "config_hash": "0123456789abcdef0123456789abcdef",
    "features": [
        {"name": "prompt", "dtype": "string"},
        {"name": "chosen", "dtype": "image"},
        {"name": "chosen_clip", "dtype": "float64"},
    ],
    "dropped": {"margin below 1.0": 31, "all candidates equal": 4},
}
REPORT: dict[str, Any] = {
    "margins": {"mean": 2.25, "min": 1.0, "max": 3.5},
    "scorers": {
        "composition": {
            "role": "ranked",
            "weight": 1.0,
            "chosen_mean": 0.9,
            "rejected_mean": 0.5,
            "agreement": 1.0,
            "tie_rate": 0.0,
        },
        "clip": {
            "role": "held_out",
            "weight": 0.0,
            "chosen_mean": 0.3,
            "rejected_mean": 0.2,
            "agreement": None,
            "tie_rate": 0.125,
        },
    },
    "agreement": {
        "scorers": ["composition", "clip"],
        "rank_correlation": [[1.0, 0.5], [0.5, 1.0]],
        "disagreement": [[0.0, None], [None, 0.0]],
    },
    "filters": [{"name": "min_margin", "unit": "pairs", "before": 1400, "after": 1330}],
    "strata": {"objects": {"2": {"prompts": 700, "pairs": 665, "wanted": 0.5}}},
    "reviews": {"keep": 5, "flip": 1, "drop": 2, "agreement": 0.625},
}
WHOLE = DATASET | {
    "models": ["stabilityai/stable-diffusion-3.5-medium"],
    "license": "other",
    "license_name": "stabilityai-ai-community",
    "license_link": "https://huggingface.co/stabilityai/stable-diffusion-3.5-medium",
    "images": 2641,
    "sources": [
        ("images", "stabilityai/stable-diffusion-3.5-medium", "b940f670f0eda2d07fbb75229e779da1"),
        ("scene graphs", "shapes", "1"),
        ("scores", "clip", "sha256:814b94072f69"),
        ("prompts", "shapes", None),
    ],
    "version": "0.1.0",
    "config": {"prompts": {"source": "shapes"}, "pair": {"weights": {"composition": 1.0}}},
    "report": REPORT,
    "plots": [{"title": "margins", "path": "assets/margins.png"}],
}
MODEL: dict[str, Any] = {
    "name": "shapes-tuned",
    "location": "path/to/shapes-tuned",
    "base_model": "embedded",
    "fingerprint": "0123456789abcdef",
    "dataset": "work/dataset",
    "objective": "inversion-dpo (endpoint)",
    "command": "invdpo train work/dataset --output shapes-tuned --beta 500.0",
    "version": "0.1.0",
    "config": {"beta": 500.0, "lora_rank": 16},
    "figures": [{"measure": "fully right", "base": 0.5, "tuned": 0.625, "95 %": "+0.05 … +0.20"}],
}
ON_THE_HUB = MODEL | {
    "name": "sdxl-tuned",
    "location": "lab/sdxl-tuned",
    "base_model": "org/sdxl",
    "base_model_id": "org/sdxl",
    "revision": "4f39d9e",
    "dataset": "lab/pairs",
    "dataset_id": "lab/pairs",
    "license": "other",
    "license_name": "sdxl-license",
    "license_link": "https://huggingface.co/org/sdxl/blob/main/LICENSE.md",
    "curves": "curves.png",
    "picture": "pictures/step-000200.png",
}
FULL = ON_THE_HUB | {"tuning": "full", "license": ["mit", "apache-2.0"], "license_name": None}


def head(card: str) -> dict[str, Any]:
    """The metadata, as the Hub cuts it out."""
    _, metadata, _ = card.split("---\n", 2)
    parsed: dict[str, Any] = yaml.safe_load(metadata)
    return parsed


@pytest.mark.parametrize(
    ("name", "card"),
    [
        ("dataset.md", render_dataset_card(DATASET)),
        ("dataset_whole.md", render_dataset_card(WHOLE)),
        ("model.md", render_model_card(MODEL)),
        ("model_on_the_hub.md", render_model_card(ON_THE_HUB)),
        ("model_full.md", render_model_card(FULL)),
    ],
)
def test_golden(name: str, card: str) -> None:
    assert card == (GOLDEN / name).read_text(encoding="utf-8")


def test_dataset_metadata_is_what_the_hub_defines() -> None:
    from huggingface_hub import DatasetCard

    card: Any = DatasetCard(render_dataset_card(DATASET))
    data = card.data.to_dict()
    assert data["license"] == "apache-2.0"
    assert data["task_categories"] == ["text-to-image"]
    assert data["annotations_creators"] == ["machine-generated"]
    assert data["size_categories"] == ["1K<n<10K"]
    assert data["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train-*.parquet"},
        {"split": "validation", "path": "data/validation-*.parquet"},
    ]
    assert data["dataset_info"]["features"][1] == {"name": "chosen", "dtype": "image"}


@pytest.mark.parametrize("stats", [DATASET, WHOLE, DATASET | {"models": [], "origin": "Theirs."}])
def test_the_hub_takes_the_metadata_of_data_sets(stats: dict[str, Any]) -> None:
    assert card_errors(render_dataset_card(stats), "dataset") == []


def test_a_held_out_scorer_and_people_are_told() -> None:
    card = render_dataset_card(WHOLE)
    assert "| held out | `clip`: not used to choose pairs |" in card
    assert "people reviewed some of them" in card
    assert "| `clip` | held out | 0.000 | 0.300 | 0.200 | – | 0.125 |" in card


def test_imported_pairs_claim_nothing_that_was_not_seen() -> None:
    card = render_dataset_card(DATASET | {"models": [], "scorers": [], "origin": "From elsewhere."})
    assert "From elsewhere." in card
    assert "No prompt is in both splits" in card
    assert "related prompts" not in card
    assert "language" not in head(card)


def test_features_are_those_of_datasets() -> None:
    from datasets import DatasetInfo

    info = DatasetInfo._from_yaml_dict(head(render_dataset_card(DATASET))["dataset_info"])
    assert info.features is not None
    assert {name: type(kind).__name__ for name, kind in info.features.items()} == {
        "prompt": "Value",
        "chosen": "Image",
        "chosen_clip": "Value",
    }


def test_a_split_without_rows_has_no_files() -> None:
    files = head(render_dataset_card(DATASET | {"num_validation": 0}))["configs"][0]["data_files"]
    assert [entry["split"] for entry in files] == ["train"]


@pytest.mark.parametrize(
    ("models", "given", "expected"),
    [
        (["embedded"], None, "apache-2.0"),
        (["org/sdxl"], None, "other"),
        (["embedded", "org/sdxl"], None, "other"),
        (["org/sdxl"], "openrail++", "openrail++"),
    ],
)
def test_the_licence_follows_the_generator(
    models: list[str], given: str | None, expected: str
) -> None:
    card = render_dataset_card(DATASET | {"models": models, "license": given})
    assert head(card)["license"] == expected


def test_only_what_is_on_the_hub_is_linked() -> None:
    local = head(render_model_card(MODEL))
    assert not {"base_model", "base_model_relation", "datasets"} & local.keys()
    linked = head(render_model_card(ON_THE_HUB))
    assert linked["base_model"] == "org/sdxl"
    assert linked["base_model_relation"] == "adapter"
    assert linked["datasets"] == ["lab/pairs"]


def test_full_tuning_is_no_lora() -> None:
    card = render_model_card(FULL)
    assert "lora" not in head(card)["tags"]
    assert head(card)["base_model_relation"] == "finetune"
    assert "load_lora_weights" not in card
    assert 'from_pretrained("lab/sdxl-tuned")' in card


@pytest.mark.parametrize("stats", [MODEL, ON_THE_HUB, FULL])
def test_the_hub_takes_the_metadata_of_models(stats: dict[str, Any]) -> None:
    from huggingface_hub import ModelCard

    card = render_model_card(stats)
    data: Any = ModelCard(card).data
    assert (data.library_name, data.pipeline_tag) == ("diffusers", "text-to-image")
    assert card_errors(card, "model") == []


@pytest.mark.parametrize("stats", [MODEL, ON_THE_HUB, FULL])
def test_the_code_of_a_card_is_python(stats: dict[str, Any]) -> None:
    compile(code_of(render_model_card(stats), "python"), "card", "exec")


def code_of(card: str, language: str) -> str:
    """The first block of code in a language."""
    found = re.search(rf"^(`{{3,}}){language}\n(.*?)\n\1$", card, re.DOTALL | re.MULTILINE)
    assert found
    return found[2]


def test_a_card_needs_its_figures() -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError, match="config_hash"):
        render_dataset_card({k: v for k, v in DATASET.items() if k != "config_hash"})


NASTY = st.text(min_size=1) | st.sampled_from(
    ["{{ 7 * 7 }}", "{% for %}", "a: b", "- x\n---\ny", "#", "`|`", "yes", "1e5", "<script>"]
)


@settings(max_examples=50)
@given(name=NASTY, scorer=NASTY, model=NASTY)
def test_no_name_breaks_the_metadata(name: str, scorer: str, model: str) -> None:
    card = render_dataset_card(DATASET | {"name": name, "scorers": [scorer], "models": [model]})
    metadata = head(card)
    assert metadata["pretty_name"] == " ".join(name.split())
    assert metadata["tags"] == head(render_dataset_card(DATASET))["tags"]


def test_a_name_is_no_template() -> None:
    card = render_dataset_card(DATASET | {"name": "{{ 7 * 7 }}", "scorers": ["{% endfor %}"]})
    assert "# {{ 7 \\* 7 }}\n" in card
    assert "chosen_{% endfor %}" in card


@settings(max_examples=50)
@given(name=NASTY, location=NASTY, words=st.lists(NASTY, max_size=4))
def test_no_name_breaks_a_model_card(name: str, location: str, words: list[str]) -> None:
    """The head stays as it is, and both blocks of code give back what was put in."""
    facts = {"name": name, "base_model": name, "location": location, "license": "mit"}
    card = render_model_card(MODEL | facts | {"command": shlex.join(["invdpo", *words])})
    assert head(card) == head(render_model_card(MODEL | {"license": "mit"}))
    assert shlex.split(code_of(card, "bash")) == ["invdpo", *words]
    tree = ast.parse(code_of(card, "python"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert location in texts


@settings(max_examples=50)
@given(NASTY)
def test_inline_text_stays_in_its_line_and_cell(text: str) -> None:
    for shown in (plain(text), code(text)):
        assert len(shown.splitlines()) <= 1
        assert "|" not in shown.replace("\\|", "")
