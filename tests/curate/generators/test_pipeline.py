"""Generation by other families, and the options that shape images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from invdpo.curate.generate import Generate, remake
from invdpo.schemas import ConfigError
from invdpo.schemas.config.generate import GenerateConfig
from invdpo.schemas.io.images import decode
from invdpo.schemas.tables import Record
from tests.curate.pipelines import FAMILIES


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param) / "pipeline"
    FAMILIES[request.param](folder)
    return folder


@pytest.fixture(scope="module")
def xl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("xl") / "pipeline"
    FAMILIES["sdxl"](folder)
    return folder


def settings(model: Path, **more: Any) -> GenerateConfig:
    values = {
        "model": str(model),
        "num_candidates": 2,
        "num_inference_steps": 2,
        "batch_size": 3,
        "device": "cpu",
    }
    if "resolutions" not in more:
        values |= {"width": 32, "height": 32}
    return GenerateConfig.model_validate(values | more)


def made(config: GenerateConfig, count: int = 3) -> list[Record]:
    text = ["a red circle", "a blue square", "a green star"]
    rows = [{"prompt_id": f"p{n}", "prompt": text[n], "status": "ok"} for n in range(count)]
    return list(Generate(config)(rows))


def pictures(rows: list[Record]) -> list[bytes]:
    assert [row["error"] for row in rows] == [None] * len(rows)
    return [row["image"]["bytes"] for row in rows]


def test_every_family_samples_and_repeats(model: Path) -> None:
    config = settings(model)
    rows = made(config)
    assert len(set(pictures(rows))) == 6
    assert {(row["width"], row["height"]) for row in rows} == {(32, 32)}
    assert made(config, 1) == rows[:2]
    assert remake(rows[3], "a blue square", config) == rows[3]["image"]["bytes"]


def test_no_family_lets_a_candidate_depend_on_its_batch(model: Path) -> None:
    """Other neighbours, same bytes; another batch size rounds otherwise, by a level at most."""
    rows = made(settings(model))
    alone = [*made(settings(model), 1)[:2], *rows[2:]]
    assert pictures(alone) == pictures(rows)
    for one, other in zip(rows, made(settings(model, batch_size=1)), strict=True):
        assert one["candidate_id"] == other["candidate_id"]
        pixels = [np.asarray(decode(r["image"]["bytes"]), dtype=int) for r in (one, other)]
        assert np.abs(pixels[0] - pixels[1]).max() <= 1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_draws_near_the_same(model: Path, dtype: str) -> None:
    whole, half = made(settings(model), 1), made(settings(model, dtype=dtype), 1)
    for one, other in zip(whole, half, strict=True):
        assert one["candidate_id"] != other["candidate_id"]
        pixels = [np.asarray(decode(r["image"]["bytes"]), dtype=int) for r in (one, other)]
        assert np.abs(pixels[0] - pixels[1]).max() > 0
        assert np.abs(pixels[0] - pixels[1]).mean() < 8
    assert made(settings(model, dtype=dtype), 1) == half


def test_compiling_is_of_the_denoiser(xl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    compiled: list[str] = []

    def noted(self: torch.nn.Module) -> None:
        compiled.append(type(self).__name__)

    monkeypatch.setattr(torch.nn.Module, "compile", noted)
    assert made(settings(xl, compile=True), 1) == made(settings(xl), 1)
    assert compiled == ["UNet2DConditionModel"]


def test_sizes_are_chosen_by_the_seed(xl: Path) -> None:
    config = settings(xl, resolutions=["32x32", "48x32", "32X48"], num_candidates=4)
    rows = made(config)
    found = [(row["width"], row["height"]) for row in rows]
    assert set(found) == {(32, 32), (48, 32), (32, 48)}
    assert [row["prompt_id"] for row in rows] == [f"p{n}" for n in range(3) for _ in range(4)]
    assert made(config, 1) == rows[:4]
    odd = next(row for row in rows[:4] if row["width"] != row["height"])
    assert remake(odd, "a red circle", config) == odd["image"]["bytes"]


def test_negative_prompt_and_scheduler_change_pictures_and_ids(xl: Path) -> None:
    plain = made(settings(xl), 1)
    for more in ({"negative_prompt": "dull"}, {"scheduler": "DDIMScheduler"}):
        other = made(settings(xl, **more), 1)
        assert pictures(other) != pictures(plain)
        assert other[0]["candidate_id"] != plain[0]["candidate_id"]
    assert other[0]["scheduler"] == "DDIMScheduler"


def test_options_that_are_not_used_leave_fingerprints_as_they_were(xl: Path) -> None:
    told = Generate(settings(xl)).fingerprint()
    assert not {"resolutions", "negative_prompt", "scheduler", "compile", "offload"} & told.keys()
    used = Generate(settings(xl, negative_prompt="dull")).fingerprint()
    assert used["negative_prompt"] == "dull"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"scheduler": "NoScheduler"}, r"can't use 'NoScheduler'. Allowed: .*DDIMScheduler"),
        ({"resolutions": ["32x"]}, r"found '32x'; expected sizes"),
        ({"resolutions": ["32x32"], "width": 32, "height": 32}, "either these or width"),
        ({"offload": True}, "needs an accelerator"),
    ],
)
def test_settings_that_cant_be_are_refused(xl: Path, more: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        made(settings(xl, **more), 1)


def test_a_pipeline_without_negative_prompts_says_so(
    xl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import diffusers

    parts: Any = diffusers

    def plain(self: Any, prompt: str, guidance_scale: float) -> None: ...

    monkeypatch.setattr(parts.StableDiffusionXLPipeline, "__call__", plain)
    with pytest.raises(ConfigError, match=r"negative_prompt: StableDiffusionXLPipeline takes none"):
        made(settings(xl, negative_prompt="dull"), 1)
