from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import DataError
from invdpo.train import TrainResult, train
from invdpo.train.monitoring.validation_images import contact_sheet, to_image
from tests.train.monitoring.test_trackers import recorded


@pytest.fixture
def run(config: TrainConfig, dataset: Path, cache_dir: Path, tmp_path: Path) -> Any:
    def go(name: str = "out", **changes: Any) -> TrainResult:
        return train(
            dataset,
            tmp_path / name,
            config.model_copy(update={"pictures_every": 2, **changes}),
            cache_dir=cache_dir,
            progress=False,
        )

    return go


def opened(path: Path | io.BytesIO) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def differ(first: Path, second: Path | io.BytesIO) -> bool:
    return ImageChops.difference(opened(first), opened(second)).getbbox() is not None


@pytest.mark.parametrize("xl", [False, True])
def test_the_same_prompts_and_noise_at_chosen_steps(
    run: Any, tmp_path: Path, xl_pipeline: Path, xl: bool
) -> None:
    model = {"model": str(xl_pipeline)} if xl else {}
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a red circle\n\na blue square\n", encoding="utf-8")
    common = {"picture_prompts": str(prompts), "max_steps": 4, "learning_rate": 0.05, **model}
    out = run("out", **common).output / "pictures"
    logged = recorded(out.parent).Images("validation/images")
    names = ["prompts.txt", "step-000000.png", "step-000002.png", "step-000004.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert (out / "prompts.txt").read_text() == "a red circle\na blue square"
    assert opened(out / names[1]).size == (34, 16)
    assert [image.step for image in logged] == [0, 2, 4]
    for name, image in zip(names[1:], logged, strict=True):
        assert not differ(out / name, io.BytesIO(image.encoded_image_string))
    assert differ(out / names[1], out / names[2])
    assert differ(out / names[2], out / names[3])
    again = run("again", unet_batch_size=2, **common).output / "pictures"
    apart = ImageChops.difference(opened(out / names[1]), opened(again / names[1]))
    # other numbers of samples round otherwise, by a level at most
    assert np.asarray(apart).max() <= 1


def test_prompts_of_the_data_set_are_drawn_when_none_are_named(run: Any) -> None:
    out = run(max_steps=2).output / "pictures"
    assert (out / "prompts.txt").read_text().splitlines() == [
        "a red circle",
        "a blue square",
        "a green star above a red circle",
    ]


def test_no_vae_stays_in_memory_and_the_training_is_the_same(run: Any) -> None:
    with_them = run("with", keep="last")
    without = run("without", keep="last", pictures_every=None)
    assert with_them.metrics["loss"] == without.metrics["loss"]
    assert not (without.output / "pictures").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "can't be read"), (b"", "empty"), (b"a\xff", "not UTF-8 at byte 1")],
)
def test_a_bad_prompt_file_is_told_before_anything_is_computed(
    run: Any, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "prompts.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        run(picture_prompts=str(path))


def test_pixels_and_positions_on_the_sheet() -> None:
    values = torch.tensor([[-1.0, 1.0], [0.0, 0.5]])
    image = to_image(values.expand(1, 3, 2, 2))
    assert image.size == (2, 2)
    assert [image.getpixel((x, y)) for y in (0, 1) for x in (0, 1)] == [
        (0, 0, 0),
        (255, 255, 255),
        (128, 128, 128),
        (191, 191, 191),
    ]
    sheet = contact_sheet([Image.new("RGB", (4, 4), (i, 0, 0)) for i in range(5)])
    assert sheet.size == (22, 10)
    assert sheet.getpixel((6, 0)) == (1, 0, 0)
    assert sheet.getpixel((0, 6)) == (4, 0, 0)
