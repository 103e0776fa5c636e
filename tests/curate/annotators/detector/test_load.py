"""The detectors on small random models, against transformers' own post-processing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from invdpo.curate.annotators.detector.boxes import (
    MAX_DETECTIONS,
    DetectionQuery,
    RawBoxes,
    detections,
)
from invdpo.curate.annotators.detector.load import load
from invdpo.curate.checkpoints.weights import find_weights
from invdpo.schemas import ModelError
from tests.curate.annotators.detector.detectors import save_dino, save_owl

QUERIES = [("red car", "dog"), ("cat",), ("bench", "a blue dog", "cat")]
SAVE = {
    "owlvit": lambda folder: save_owl(folder, "OwlViT"),
    "owlv2": save_owl,
    "dino": save_dino,
}


@pytest.fixture(scope="module", params=SAVE)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SAVE[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def detector(folder: Path) -> Any:
    return load(find_weights(str(folder), "x"), "cpu")


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Square ones and others, of noise on a slope."""
    rng = np.random.default_rng(0)
    made = []
    for n in range(3):
        shape = (48, 48 + 24 * (n % 2), 3)
        slope = np.linspace(0, 200, shape[1])[None, :, None]
        made.append(Image.fromarray((rng.uniform(0, 55, shape) + slope).astype(np.uint8)))
    return made


def queries_for(detector: Any, pictures: list[Image.Image]) -> list[DetectionQuery]:
    pairs = zip(pictures, QUERIES, strict=True)
    return [DetectionQuery(detector.pixels(image), image.size, queries) for image, queries in pairs]


@pytest.fixture(scope="module")
def together(detector: Any, pictures: list[Image.Image]) -> list[RawBoxes]:
    boxes: list[RawBoxes] = detector.detect(queries_for(detector, pictures))
    return boxes


def test_batch_and_order_do_not_matter(
    detector: Any, pictures: list[Image.Image], together: list[RawBoxes]
) -> None:
    queries = queries_for(detector, pictures)
    reversed_order = detector.detect(queries[::-1])[::-1]
    assert len({round(raw.logits.max().item(), 5) for raw in together}) == len(pictures)
    assert all(raw.logits.shape[1] == len(q) for raw, q in zip(together, QUERIES, strict=True))
    for n, (raw, second) in enumerate(zip(together, reversed_order, strict=True)):
        (alone,) = detector.detect([queries[n]]) if n < 2 else (raw,)
        for result in (alone, second):
            torch.testing.assert_close(result.boxes, raw.boxes, atol=1e-5, rtol=0)
            scores = result.logits.sigmoid(), raw.logits.sigmoid()
            torch.testing.assert_close(*scores, atol=1e-5, rtol=0)


def test_is_what_transformers_says(
    folder: Path, pictures: list[Image.Image], together: list[RawBoxes]
) -> None:
    """One image at a time, by the processor and its own post-processing."""
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    processor: Any = AutoProcessor.from_pretrained(folder)
    network: Any = AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()
    dino = "Dino" in type(processor).__name__
    for raw, image, queries in zip(together, pictures, QUERIES, strict=True):
        given = processor(images=image, text=[list(queries)], return_tensors="pt")
        with torch.no_grad():
            seen = network(**given)
        if dino:  # there, full stops and the ends of the text count too, which name nothing
            words = processor.tokenizer.convert_ids_to_tokens(given["input_ids"][0])
            named = [n for n, word in enumerate(words) if word.isalpha()]
            best = [words[named[n]] for n in seen.logits[0][:, named].argmax(dim=1)]
            ends = [n for n in range(seen.logits.shape[-1]) if n not in named]
            seen.logits[..., ends] = -torch.inf
        more = {"text_threshold": 0.0, "input_ids": given["input_ids"]} if dino else {}
        (expected,) = processor.post_process_grounded_object_detection(
            seen, threshold=-1.0, target_sizes=[image.size[::-1]], **more
        )
        scale = torch.tensor(image.size * 2)
        torch.testing.assert_close(raw.boxes * scale, expected["boxes"], atol=1e-3, rtol=0)
        logits, names = raw.logits.max(dim=1)
        torch.testing.assert_close(logits.sigmoid(), expected["scores"], atol=1e-5, rtol=0)
        if dino:
            assert all(w in queries[n].split() for w, n in zip(best, names.tolist(), strict=True))
        else:
            assert names.tolist() == expected["labels"].tolist()


def test_many_names_make_several_texts(detector: Any, pictures: list[Image.Image]) -> None:
    """Grounding DINO's text holds 16 tokens here; each name is then judged in a text of its own."""
    names = ("car", "dog", "cat", "bench", "red car", "blue dog", "red cat", "blue bench")
    pixels, size = detector.pixels(pictures[0]), pictures[0].size
    (raw,) = detector.detect([DetectionQuery(pixels, size, names)])
    assert raw.logits.shape[1] == len(names)
    assert torch.isfinite(raw.logits.max(dim=0).values).all()


@pytest.mark.parametrize("text", ['say "no"\nplease', "{0} %s {label}", "красный кот", "赤い猫"])
def test_whatever_stands_in_a_name(detector: Any, pictures: list[Image.Image], text: str) -> None:
    if detector.problem(text) is None:
        (raw,) = detector.detect(
            [DetectionQuery(detector.pixels(pictures[0]), (48, 48), (text, "cat"))]
        )
        assert not raw.logits.isnan().any()


def test_names_that_are_too_long(detector: Any) -> None:
    assert detector.problem("cat") is None
    assert "longer than" in detector.problem("cat " * 40)


RAW = RawBoxes(
    boxes=torch.tensor(
        [
            [0, 0, 0.5, 0.5],
            [0, 0, 0.5, 0.45],
            [0.6, 0.6, 1.2, 1.0],
            [-0.3, 0, -0.1, 1],
            [0, 0, 0.5, 0.5],
            [0.6, 0, 0.9, 0.3],
        ]
    ),
    logits=torch.tensor(
        [[0.9, 0.1], [0.8, 0.1], [0.2, 0.5], [0.9, 0.1], [0.1, 0.7], [0.05, 0.09]]
    ).logit(),
)


def test_duplicates_and_faint_boxes_are_left_out() -> None:
    kept = detections(RAW, ["cat", "dog"], threshold=0.1, nms=0.5)
    assert [detection.label for detection in kept] == ["cat", "dog", "dog"]
    assert [detection.confidence for detection in kept] == pytest.approx([0.9, 0.7, 0.5])
    assert kept[2].box == pytest.approx((0.6, 0.6, 1.0, 1.0))
    kept = detections(RAW, ["cat", "dog"], threshold=0.1, nms=0.95)
    assert [detection.label for detection in kept] == ["cat", "cat", "dog", "dog"]


def test_nothing_to_see_and_too_much_of_it() -> None:
    assert detections(RAW, ["cat", "dog"], threshold=0.95, nms=0.5) == []
    rows = torch.arange(MAX_DETECTIONS + 10) / 100
    boxes = torch.stack([rows, rows, rows + 0.005, rows + 0.005], dim=1)
    many = detections(RawBoxes(boxes, torch.zeros(len(rows), 1)), ["cat"], threshold=0.1, nms=0.5)
    assert len(many) == MAX_DETECTIONS


def test_weights_that_lack_a_tensor_are_reported(folder: Path, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, tmp_path / "model")
    file = tmp_path / "model" / "model.safetensors"
    tensors = load_file(file)
    lost = sorted(tensors)[-1]
    save_file({name: value for name, value in tensors.items() if name != lost}, file)
    with pytest.raises(ModelError, match=r"model: lacks .* \(1 in all\)") as error:
        load(find_weights(str(tmp_path / "model"), "x"), "cpu")
    assert lost in str(error.value)


def test_pickled_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    torch.save({}, tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(ModelError, match="model: no zero-shot detector with safetensors"):
        load(find_weights(str(tmp_path / "model"), "x"), "cpu")


@pytest.mark.parametrize(
    ("text", "said"),
    [('{"model_type": "bert"}', "kind 'bert'; expected owlvit, owlv2"), ("{", "can't be read")],
)
def test_other_models_are_reported(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=said):
        load(find_weights(str(tmp_path), "x"), "cpu")
