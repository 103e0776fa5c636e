from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError, DataError
from invdpo.train.diagnostics.inversion_check import (
    GridQuality,
    advice,
    check_inversion,
    psnr,
    without_inversion,
)
from tests.train.tiny import png, row, write_pairs


def rows(**levels: float) -> list[GridQuality]:
    return [GridQuality(int(name[1:]), 0.1, level, 0.0) for name, level in levels.items()]


def test_half_and_twice_the_grid_are_tried(config: TrainConfig, dataset: Path) -> None:
    before = sorted(dataset.rglob("*"))
    result = check_inversion(dataset, config, images=3)
    assert [r.steps for r in result.rows] == [2, 4, 8]
    assert result.images == 3
    assert all(math.isfinite(r.latent_error) and r.seconds > 0 for r in result.rows)
    assert result.rows[2].latent_error < result.rows[0].latent_error
    assert result.rows[2].psnr > result.rows[0].psnr
    assert result.to_dict()["rows"][1]["steps"] == 4
    assert sorted(dataset.rglob("*")) == before


def test_guidance_makes_inversion_harder(config: TrainConfig, dataset: Path) -> None:
    plain = check_inversion(dataset, config, images=2)
    guided = check_inversion(
        dataset, config.model_copy(update={"inversion_guidance_scale": 8.0}), images=2
    )
    assert guided.guidance == 8
    assert guided.rows[1].latent_error > plain.rows[1].latent_error


def test_the_reference_is_the_model_that_training_starts_from(
    config: TrainConfig, dataset: Path, run: Any
) -> None:
    """Its weights moved far, so its inversion is another one."""
    start = run("start", objective="sft", learning_rate=1.0, max_steps=1, keep="last").output
    errors = []
    for reference in ("base", "start"):
        changed = config.model_copy(update={"start_from": str(start), "reference": reference})
        errors.append(check_inversion(dataset, changed, images=1).rows[0].latent_error)
    base = check_inversion(dataset, config, images=1).rows[0].latent_error
    assert errors[0] == base != errors[1]


@pytest.mark.parametrize(
    ("levels", "guidance", "expected"),
    [
        (rows(n10=20, n20=31, n40=35), None, "N = 20 is fine enough"),
        (rows(n10=32, n20=35, n40=38), None, "; 10 is enough, too"),
        (rows(n10=20, n20=25, n40=31), None, "num_inversion_steps 40 reaches 31.0, and is fine"),
        (rows(n10=15, n20=20, n40=25), None, "still coarse"),
        (rows(n10=15, n20=20, n40=20.5), None, "more steps are hardly better"),
        (rows(n10=15, n20=20, n40=20.5), "embedded_guidance", "set embedded_guidance closer"),
        (rows(n10=math.nan, n20=20, n40=25), None, "float32"),
    ],
)
def test_advice(levels: list[GridQuality], guidance: str | None, expected: str) -> None:
    assert expected in advice(levels, 20, guidance)


def test_psnr_in_closed_form() -> None:
    """A difference of 0.2 in -1..1 is 0.1 in 0..1: 20 dB."""
    assert psnr(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.2)).item() == pytest.approx(20)
    assert psnr(torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)).item() == 100


def test_a_grid_the_model_lacks_is_refused(config: TrainConfig, dataset: Path) -> None:
    with pytest.raises(ConfigError, match="num_inversion_steps: found 1000"):
        check_inversion(dataset, config.model_copy(update={"num_inversion_steps": 1000}))


def test_what_pairs_count_is_nothing_to_an_inversion(config: TrainConfig, dataset: Path) -> None:
    """The dataset has no margins, which a training with `margin_weights` needs."""
    options = {"margin_weights": True, "noise": "fresh", "num_inversion_steps": 1}
    result = check_inversion(dataset, config.model_copy(update=options), images=1)
    assert result.images == 1
    assert result.advice.endswith("But a training with noise `fresh` inverts nothing.")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, ""), ({"noise": "own"}, ""), ({"objective": "sft"}, "objective sft inverts nothing")],
)
def test_a_training_without_inversion_is_named(
    config: TrainConfig, changes: dict[str, str], expected: str
) -> None:
    text = without_inversion(config.model_copy(update=changes))
    assert expected in text
    assert bool(expected) == bool(text)


def test_no_readable_picture(config: TrainConfig, tmp_path: Path) -> None:
    write_pairs(tmp_path, "train", [row(0, chosen=png(0)[:500], rejected=png(1))])
    with pytest.raises(DataError, match="no readable image"):
        check_inversion(tmp_path, config)
