"""Images that the model's own checker refuses, and images that show nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from invdpo.curate.evaluation.compare import evaluate_models
from invdpo.curate.evaluation.models import EvaluatedModel
from invdpo.curate.generate import Generate, remake
from invdpo.curate.generators.pipeline import ImageGenerator, ImageRequest
from invdpo.curate.runner import RunOptions
from invdpo.curate.steps import generate, make_prompts
from invdpo.curate.workspace import Workspace
from invdpo.schemas import DataError, ModelError
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.tables import Record
from tests.curate.tiny import tiny_config

REFUSED = "the model's safety checker refused it"
PLAIN = "the image is one single colour"
OPTIONS = RunOptions(progress=False)


@pytest.fixture(scope="module")
def guarded(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline with a safety checker, as SD 1.5 has one; it refuses every image."""
    import torch
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    folder = tmp_path_factory.mktemp("guarded") / "pipeline"
    shutil.copytree(tiny_model, folder)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    vision = sizes | {"num_attention_heads": 2, "image_size": 16, "patch_size": 8}
    checker: Any = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=8))
    with torch.no_grad():
        checker.concept_embeds_weights.fill_(-2.0)  # below any cosine
    checker.save_pretrained(folder / "safety_checker")
    side = {"height": 16, "width": 16}
    images: Any = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=side)
    images.save_pretrained(folder / "feature_extractor")
    index = json.loads((folder / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture
def strict_on_odd(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checker refuses every second image of a batch, and blackens it, as the real one does."""
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

    def check(self: Any, clip_input: Any, images: Any) -> tuple[Any, list[bool]]:
        flags = [n % 2 == 1 for n in range(len(images))]
        for n, flag in enumerate(flags):
            if flag:
                images[n] = images[n] * 0
        return images, flags

    monkeypatch.setattr(StableDiffusionSafetyChecker, "forward", check)


def config(model: Path) -> GenerateConfig:
    return tiny_config(model).generate


def prompts(count: int = 2) -> list[Record]:
    return [{"prompt_id": f"p{n}", "prompt": "a red circle", "status": "ok"} for n in range(count)]


def test_a_real_checker_that_refuses_all(guarded: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = list(Generate(config(guarded))(prompts()))
    assert [(row["status"], row["error"]) for row in rows] == [("rejected", REFUSED)] * 4
    assert not any(row.get("image") for row in rows)
    assert "NSFW" not in capfd.readouterr().err


@pytest.mark.usefixtures("strict_on_odd")
def test_only_what_was_refused_is_rejected(tiny_model: Path, guarded: Path) -> None:
    rows = list(Generate(config(guarded))(prompts()))
    assert [row["error"] for row in rows] == [None, REFUSED, None, REFUSED]
    without = list(Generate(config(tiny_model))(prompts()))
    assert [r["image"]["bytes"] for r in rows[::2]] == [r["image"]["bytes"] for r in without[::2]]


def test_a_refused_image_cant_be_made_again(guarded: Path) -> None:
    own = config(guarded)
    row = next(iter(Generate(own)(prompts())))
    with pytest.raises(DataError, match=f"{row['candidate_id']}: {REFUSED}"):
        remake(row, "a red circle", own)


@pytest.mark.usefixtures("strict_on_odd")
def test_the_step_counts_them(guarded: Path, tmp_path: Path) -> None:
    ws, whole = Workspace(tmp_path / "work"), tiny_config(guarded)
    make_prompts(ws, whole, OPTIONS)
    result = generate(ws, whole, OPTIONS)
    assert (result.rejected, result.rejections) == (12, {REFUSED: 12})


@pytest.mark.usefixtures("strict_on_odd")
def test_evaluation_leaves_out_what_one_model_refused(
    tiny_model: Path, guarded: Path, tmp_path: Path
) -> None:
    """Of 4 prompts the tuned model refuses the second and the fourth: 2 are judged for both."""
    whole = tiny_config(tiny_model, eval={"num_prompts": 4})
    base, tuned = EvaluatedModel(str(tiny_model)), EvaluatedModel(str(guarded))
    found = evaluate_models(tmp_path / "eval", whole, base, tuned, OPTIONS)
    assert [result.tuned.wrong[0] for result in found.results][1::2] == [
        f"candidate rejected: {REFUSED}"
    ] * 2
    assert {row["figure"]: row["prompts"] for row in found.rows()}["composition_all_right"] == 2


def output(model: Path, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> ImageGenerator:
    """A generator whose pipeline answers with these fields."""
    made = ImageGenerator(config(model))

    made.__dict__["_pipeline"] = lambda **_: SimpleNamespace(**fields)
    return made


def ramp(count: int) -> list[Any]:
    return [np.linspace(0, 1, 48).reshape(4, 4, 3)] * count


@pytest.mark.parametrize(
    ("flags", "reasons"),
    [
        ({"nsfw_content_detected": None}, [None] * 4),
        ({"nsfw_content_detected": np.array([False, True, False, False])}, [None, REFUSED]),
        ({"nsfw_detected": [True, False, False, False]}, [REFUSED, None]),
        ({"nsfw_content_detected": False}, [None] * 4),
        ({"nsfw_content_detected": [[True], [False], [False], [False]]}, [REFUSED, None]),
        ({"nsfw_content_detected": [None, True, None, None]}, [None, REFUSED]),
        ({"flagged": True}, [REFUSED] * 4),
        ({"watermark_detected": [False, True, False, False]}, [None, "watermark_detected"]),
        ({"note": ["some", "words", "", ""]}, [None] * 4),
    ],
)
def test_every_flag_beside_the_images_is_read(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, flags: dict[str, Any], reasons: list[Any]
) -> None:
    made = output(tiny_model, monkeypatch, images=ramp(4), **flags)
    answers = made([ImageRequest("a", n) for n in range(4)])
    actual = [getattr(answer, "reason", None) for answer in answers]
    for reason, expected in zip(actual, reasons, strict=False):
        assert (reason is None) == (expected is None)
        assert expected is None or expected in str(reason)


def test_an_image_that_is_left_out(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = output(tiny_model, monkeypatch, images=[*ramp(3), None])
    answers = made([ImageRequest("a", n) for n in range(4)])
    assert [getattr(a, "reason", None) for a in answers] == [None] * 3 + ["the model gave no image"]
    few = output(tiny_model, monkeypatch, images=ramp(3))
    with pytest.raises(ModelError, match="gave 3 images for 4 prompts"):
        few([ImageRequest("a", n) for n in range(4)])


@pytest.mark.parametrize("level", [0.0, 1.0, 0.3])
def test_one_single_colour_is_no_candidate(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, level: float
) -> None:
    """Whatever made it; one pixel of another level is enough to be an image."""
    call = ImageGenerator.__call__

    def plain(self: ImageGenerator, requests: list[ImageRequest]) -> list[Any]:
        made: list[Any] = call(self, requests)
        made[0] = np.full((16, 16, 3), level, dtype=np.float32)
        made[1] = made[0].copy()
        made[1][3, 5, 1] = 0.6
        return made

    monkeypatch.setattr(ImageGenerator, "__call__", plain)
    rows = list(Generate(config(tiny_model))(prompts()))
    assert [row["error"] for row in rows] == [PLAIN, None, None, None]
