"""What rounds would take: each figure by hand from the options of a tiny model."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from invdpo.rounds.checks import open_record, revision_of
from invdpo.rounds.estimate import RoundsEstimate, estimate
from invdpo.rounds.estimate_text import estimate_text
from invdpo.rounds.record import RoundResult
from invdpo.rounds.round_plan import RoundPlan
from invdpo.schemas import ConfigError, DataError, WorkspaceError
from invdpo.schemas.config import Config
from invdpo.train.diagnostics import timing
from tests.invdpo.rounds.recorded import changed_config
from tests.train.conftest import bare, pipeline, xl_pipeline

__all__ = ["bare", "pipeline", "xl_pipeline"]
PARAMETERS = 4 * 4
"""Bytes of each weight that is trained: the weight, and three more of its size."""


def configured(model: Path, **changes: dict[str, Any]) -> Config:
    sections: dict[str, dict[str, Any]] = {
        "prompts": {"num_prompts": 10},
        "annotate": {"annotators": ["shapes"]},
        "score": {"clip_model": "embedded"},
        "generate": {
            "model": str(model),
            "num_candidates": 3,
            "num_inference_steps": 2,
            "guidance_scale": 1,
        },
        "train": {
            "max_steps": 4,
            "num_points": 2,
            "num_inversion_steps": 4,
            "batch_size": 2,
            "gradient_accumulation_steps": 3,
            "device": "cpu",
        },
        "improve": {"rounds": 2, "validation_prompts": 5, "validation_images": 2},
    }
    return changed_config(sections, changes)


@pytest.fixture
def half_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forward takes half a second, and with a backward two."""
    monkeypatch.setattr(timing, "time_calls", lambda *_: (0.5, 2.0, None))


@pytest.mark.usefixtures("half_a_second")
def test_an_inversion_of_every_image(pipeline: Path, tmp_path: Path) -> None:
    """Two rounds of 10 prompts with 3 candidates, and 3 models on 5 prompts with 2 images.

    An image takes two calls of the UNet; the walk of each of 40 images 4 + 1, and one more with
    fresh noise at each of its 4 points; a step has 2 x 3 pairs of two sides at 2 points. Images
    have 16 x 16 pixels, latents 4 x 4 x 4 numbers.
    """
    work = tmp_path / "work"
    expected = estimate(work, configured(pipeline))
    images, walks, steps = 2 * 10 * 3 + 3 * 10, 2 * 10 * 2, 2 * 4 * 6 * 4
    assert asdict(replace(expected, free_bytes=0)) == {
        "rounds": 2,
        "images": images,
        "forwards": images * 2 + walks * 9 + steps,
        "training_forwards": steps,
        "seconds": (images * 2 + walks * 9) * 0.5 + steps * 2.0,
        "bytes": int(images * 3 * 16 * 16 * 0.7 + walks * 4 * (4 * 4 * 4) * 4),
        "free_bytes": 0,
        "required": None,
        "without_weights": [],
        "flops": None,
        "tflops": None,
    }
    assert expected.free_bytes > 0
    assert not work.exists()


@pytest.mark.usefixtures("half_a_second")
def test_each_guidance_scale_of_the_evaluation_counts(pipeline: Path, tmp_path: Path) -> None:
    """At 1 and 1.5 the 30 images for validation are made twice, the second time with guidance."""
    plain, several = (
        estimate(tmp_path, configured(pipeline, improve={"validation_guidance_scales": scales}))
        for scales in ([], [1, 1.5])
    )
    assert several.images - plain.images == 30
    assert several.forwards - plain.forwards == 30 * 2 * 2
    assert several.seconds == (plain.seconds or 0) + 30 * 2 * 2 * 0.5


@pytest.mark.usefixtures("half_a_second")
def test_rounds_that_are_not_evaluated_have_no_validation_images(
    pipeline: Path, tmp_path: Path
) -> None:
    """The base model and those of the second and of the last round are left, of four."""
    plain, some = (
        estimate(tmp_path, configured(pipeline, improve={"rounds": 3, "evaluate_every": n}))
        for n in (1, 2)
    )
    assert plain.images - some.images == 10
    assert plain.forwards - some.forwards == 10 * 2


@pytest.mark.usefixtures("half_a_second")
def test_pairs_of_earlier_rounds_are_inverted_again(pipeline: Path, tmp_path: Path) -> None:
    """Each round has a reference of its own: 40 walks, and 20 of the first round in the second."""
    plain, again = (
        estimate(tmp_path, configured(pipeline, improve={"replay_rounds": n})) for n in (0, 1)
    )
    assert again.forwards - plain.forwards == 20 * 9


@pytest.mark.usefixtures("half_a_second")
def test_half_precision_halves_the_trajectories_and_own_noise_walks_only_kept_points(
    pipeline: Path, tmp_path: Path
) -> None:
    stored = {"cache_dtype": "bfloat16", "cache_points": 3, "noise": "own"}
    expected = estimate(tmp_path, configured(pipeline, train=stored))
    assert expected.bytes == int(90 * 3 * 16 * 16 * 0.7 + 40 * 3 * (4 * 4 * 4) * 2)
    assert expected.forwards == 90 * 2 + 40 * 3 + 192


@pytest.mark.usefixtures("half_a_second")
def test_guidance_doubles_the_walk_and_a_correction_its_steps(
    pipeline: Path, tmp_path: Path
) -> None:
    """40 walks of 2 x (2 x 4 + 1) calls; fresh noise at 4 points takes one more each."""
    train = {"inversion_guidance_scale": 3, "inversion_corrections": 1}
    plain, mixed = (
        estimate(tmp_path, configured(pipeline, train=train | {"fresh_noise": share})).forwards
        for share in (0, 0.8)
    )
    assert (plain, mixed - plain) == (90 * 2 + 40 * 18 + 192, 40 * 4)


@pytest.mark.usefixtures("half_a_second")
def test_fresh_noise_full_weights_and_guidance(pipeline: Path, tmp_path: Path) -> None:
    """Nothing is inverted; guidance doubles the drawing; half of a step's calls have no backward:
    those of the reference.
    """
    from invdpo.train.models import load_adapter

    train = {"objective": "diffusion-dpo", "tuning": "full"}
    config = configured(pipeline, train=train, generate={"guidance_scale": 5})
    expected = estimate(tmp_path, config)
    steps = 2 * 4 * 6 * 4 * 2
    assert (expected.training_forwards, expected.forwards) == (steps, 90 * 2 * 2 + steps)
    assert expected.seconds == 90 * 2 * 2 * 0.5 + steps / 2 * 0.5 + steps / 2 * 2.0
    import torch

    adapter = load_adapter(
        config.train.model_copy(update={"model": str(pipeline)}), torch.device("cpu")
    )
    weights = sum(p.numel() for p in adapter.denoiser.parameters())
    assert expected.bytes == int(90 * 3 * 16 * 16 * 0.7) + 2 * PARAMETERS * weights


def test_the_sizes_of_images_are_those_given(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images of 32 x 24 and 16 x 24 pixels on the average 576; a call takes as long as its pixels.

    Trained at 32 x 32 pixels, which are 8 x 8 of a latent, a quarter of a side.
    """
    monkeypatch.setattr(
        timing, "time_calls", lambda *a: (16.0 * a[2].shape[-1] * a[2].shape[-2], 0.0, None)
    )
    given: dict[str, Any] = {"generate": {"resolution": "32x24,16x24"}, "train": {"resolution": 32}}
    expected = estimate(tmp_path, configured(pipeline, **given))
    assert expected.bytes == int(90 * 3 * 576 * 0.7 + 40 * 4 * (4 * 8 * 8) * 4)
    assert expected.seconds == pytest.approx(90 * 2 * 576 + 40 * 9 * 32 * 32)


@pytest.mark.usefixtures("half_a_second")
def test_what_is_done_is_not_counted_again(pipeline: Path, tmp_path: Path) -> None:
    """The base model is judged already: 2 models are left to be."""
    config = configured(pipeline)
    plan = RoundPlan(tmp_path, config)
    base = RoundResult(0, "m", revision_of(plan, 0), {})
    replace(open_record(plan), results=(base,)).write(tmp_path)
    assert estimate(tmp_path, config).images == 2 * 10 * 3 + 2 * 10


def test_what_rounds_would_refuse(pipeline: Path, tmp_path: Path) -> None:
    """Before a model is loaded, in the words of the rounds themselves."""
    config = configured(pipeline)
    open_record(RoundPlan(tmp_path, config)).write(tmp_path)
    with pytest.raises(WorkspaceError, match="its rounds were made with another configuration"):
        estimate(tmp_path, configured(pipeline, train={"learning_rate": 0.5}))
    with pytest.raises(ConfigError, match="rounds improve one model"):
        estimate(tmp_path / "a", configured(pipeline, generate={"model": ["a", "b"]}))
    file = tmp_path / "prompts.txt"
    file.write_text("".join(f"a red circle number {n}\n" for n in range(9)))
    few = configured(pipeline, prompts={"source": "file", "path": str(file)})
    with pytest.raises(DataError, match="Too few prompts: 4 in addition to the 5 for validation"):
        estimate(tmp_path / "b", few)


def test_a_model_that_takes_the_sizes_of_images_is_timed(xl_pipeline: Path, tmp_path: Path) -> None:
    """SDXL can't be called without them; these are real calls."""
    expected = estimate(tmp_path, configured(xl_pipeline, train={"unet_batch_size": 1}))
    assert (expected.images, expected.training_forwards) == (90, 192)
    assert expected.seconds


@pytest.mark.parametrize("checkpointing", [False, True])
def test_without_weights_work_and_memory_are_counted(
    pipeline: Path, bare: Path, tmp_path: Path, checkpointing: bool
) -> None:
    """The same images, calls and bytes as with weights; FLOPs by hand from those of one call."""
    options = {"train": {"gradient_checkpointing": checkpointing}}
    with_weights = estimate(tmp_path / "a", configured(pipeline, **options))
    counted = estimate(tmp_path / "b", configured(bare, **options))
    same = ("rounds", "images", "forwards", "training_forwards", "bytes")
    assert [getattr(counted, n) for n in same] == [getattr(with_weights, n) for n in same]
    assert counted.without_weights == ["unet", "vae", "text_encoder"]
    assert counted.seconds is None
    required = counted.required
    assert required is not None
    step = required.step_flops + required.forward_flops * checkpointing
    assert counted.flops == (90 * 2 + 40 * 9) * required.forward_flops + 192 * step
    text = estimate_text(counted)
    assert "not known without weights; --tflops derives it from a rate" in text
    assert "no weights of unet, vae, text_encoder" in text


def test_a_rate_makes_seconds_of_the_count(pipeline: Path, tmp_path: Path) -> None:
    """Images of twice the area take about twice the work, wherever the training takes place."""
    plain = estimate(tmp_path, configured(pipeline), 0.5)
    large = estimate(tmp_path, configured(pipeline, generate={"resolution": "32x16"}), 0.5)
    assert plain.flops
    assert plain.seconds == plain.flops / 0.5e12
    assert large.flops
    assert large.required
    drawing = 90 * 2 * large.required.forward_flops
    assert 0.9 * drawing < large.flops - plain.flops < 1.1 * drawing
    assert "at 0.5 TFLOP/s" in estimate_text(plain)
    assert "(--tflops was given); nothing was measured" in estimate_text(plain)


def test_the_text() -> None:
    text = estimate_text(RoundsEstimate(2, 1234, 98765, 4321, 3723.0, 2_500_000, 10**12))
    assert text.splitlines() == [
        "rounds to do     2",
        "images to make   1,234",
        "UNet forwards    98,765, of which 4,321 in training steps",
        "time             about 1 h 02 min in the UNet, measured by a few calls",
        "disk             about 2.5 MB; free: 1.0 TB",
    ]
