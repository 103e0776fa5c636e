"""ImageReward on small weights with the released names, against what its own code made of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from invdpo.curate.scorers import SCORERS, Candidate
from invdpo.curate.scorers.aesthetic import head_layers
from invdpo.curate.scorers.blip import build
from invdpo.curate.scorers.imagereward import MEAN, STD
from invdpo.schemas import ModelError
from invdpo.schemas.config.score import ScoreConfig
from tests.curate.scorers.judged_images import values
from tests.curate.scorers.released_blip import save, tensors


@pytest.fixture
def folder(imagereward_folder: Path) -> Path:
    return imagereward_folder


def config(folder: Path) -> ScoreConfig:
    return ScoreConfig(
        device="cpu",
        imagereward_folder=str(folder),
        imagereward_tokenizer=str(folder / "tokenizer"),
    )


@pytest.fixture(scope="module")
def candidates(pictures: list[bytes]) -> list[Candidate]:
    return [
        Candidate({"prompt": f"a {'red ' * (n % 5)}cat", "image": {"bytes": data}})
        for n, data in enumerate(pictures)
    ]


def test_rewards_are_those_of_the_released_code(folder: Path) -> None:
    """The numbers below were printed by the released networks, given the same tensors and inputs.

    That is `ImageReward/models/BLIP` of THUDM/ImageReward at c1392c6, in evaluation mode, float32.
    """
    state = tensors()
    blip = build(state, folder / "med_config.json", folder / "ImageReward.pt")
    pixels = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    ids = torch.tensor(
        [[2, 5, 6, 7, 3, 0, 0, 0], [2, 9, 10, 11, 12, 13, 3, 0], [2, 40, 3, 0, 0, 0, 0, 0]]
    )
    with torch.no_grad():
        seen = blip.encode_images(pixels)
        first = blip.encode_texts({"input_ids": ids, "attention_mask": (ids > 0).long()}, seen)
    assert seen.mean().item() == pytest.approx(0.0057468, abs=1e-5)
    assert seen.std().item() == pytest.approx(0.3089844, abs=1e-5)
    expected = [
        [0.30442771, -0.30786240, -0.40661827],
        [0.26237175, -0.32507846, -0.40685549],
        [0.29020062, -0.30106583, -0.40617704],
    ]
    torch.testing.assert_close(first[:, :3], torch.tensor(expected), atol=1e-5, rtol=0)
    head = {n.removeprefix("mlp."): v for n, v in state.items() if n.startswith("mlp.")}
    hidden = first
    for weight, bias in head_layers(head, folder):
        hidden = hidden @ weight.T + bias
    rewards = ((hidden[:, 0] - MEAN) / STD).tolist()
    assert rewards == pytest.approx([-0.21183877, -0.21005885, -0.20911853], abs=1e-5)


def test_pictures_and_prompts_are_judged_as_the_package_judges_them(
    folder: Path, candidates: list[Candidate]
) -> None:
    """The numbers were printed by `score` of image-reward 1.5, given the same small networks."""
    printed = {
        0: -0.20839174,
        1: -0.20679089,
        7: -0.20216328,
        18: -0.20414589,
        31: -0.20907746,
    }
    rewards = values(SCORERS["imagereward"](config(folder))([candidates[n] for n in printed]))
    assert rewards == pytest.approx([*printed.values()], abs=1e-6)


def test_the_prompt_plays_a_part(folder: Path, pictures: list[bytes]) -> None:
    image = {"bytes": pictures[0]}
    given = [Candidate({"prompt": text, "image": image}) for text in ("a cat", "a red image")]
    first, second = values(SCORERS["imagereward"](config(folder))(given))
    assert first != pytest.approx(second, abs=1e-6)


def test_long_prompts_are_cut_at_35_tokens(folder: Path, pictures: list[bytes]) -> None:
    image = {"bytes": pictures[0]}
    given = [Candidate({"prompt": "cat " * n, "image": image}) for n in (33, 500)]
    first, second = values(SCORERS["imagereward"](config(folder))(given))
    assert first == pytest.approx(second, abs=1e-6)


def test_missing_tensor_is_reported(
    folder: Path, tmp_path: Path, candidates: list[Candidate]
) -> None:
    save(tmp_path)
    state = tensors()
    del state["blip.text_encoder.encoder.layer.1.crossattention.self.key.bias"]
    torch.save(state, tmp_path / "ImageReward.pt")
    bad = config(folder).model_copy(update={"imagereward_folder": str(tmp_path)})
    with pytest.raises(ModelError, match=r"lacks encoder\.layer\.1\.crossattention\.self\.key"):
        SCORERS["imagereward"](bad)(candidates[:1])


def test_another_checkpoint_is_reported(
    folder: Path, tmp_path: Path, candidates: list[Candidate]
) -> None:
    save(tmp_path)
    torch.save({"weight": torch.zeros(2)}, tmp_path / "ImageReward.pt")
    bad = config(folder).model_copy(update={"imagereward_folder": str(tmp_path)})
    with pytest.raises(ModelError, match="not an ImageReward checkpoint; it lacks"):
        SCORERS["imagereward"](bad)(candidates[:1])
