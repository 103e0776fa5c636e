"""The licence of images follows the models that drew them."""

from __future__ import annotations

from typing import Any

import pytest

from invdpo.data_cards.licences import KNOWN, licence_of
from tests.hub_repos import card_errors

SDXL, SCHNELL = "stabilityai/stable-diffusion-xl-base-1.0", "black-forest-labs/FLUX.1-schnell"
SD3 = "stabilityai/stable-diffusion-3.5-medium"


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (["embedded"], {"license": "apache-2.0"}),
        (["embedded-flow"], {"license": "apache-2.0"}),
        ([SDXL], {"license": "openrail++"}),
        (["embedded", SCHNELL], {"license": "apache-2.0"}),
        (["embedded", SDXL], {"license": ["apache-2.0", "openrail++"]}),
        ([SDXL, "someone/else"], {"license": "other"}),
        ([SDXL, SD3], {"license": "other"}),
        ([], {"license": "other"}),
    ],
)
def test_licences_of_known_and_unknown_models(models: list[str], expected: Any) -> None:
    assert licence_of(models) == expected


def test_a_licence_of_its_own_is_named_and_linked() -> None:
    found = licence_of([SD3])
    assert found["license_name"] == "stabilityai-ai-community"
    assert found["license_link"] == f"https://huggingface.co/{SD3}"


def test_what_a_models_own_card_says_comes_first() -> None:
    stated = {"someone/else": {"license": "mit"}, SDXL: {}}
    assert licence_of(["someone/else"], stated) == {"license": "mit"}
    assert licence_of(["someone/else", SDXL], stated) == {"license": ["mit", "openrail++"]}


@pytest.mark.parametrize("model", KNOWN)
def test_the_hub_takes_them(model: str) -> None:
    assert card_errors(f"---\nlicense: {KNOWN[model]['license']}\n---\n", "dataset") == []
