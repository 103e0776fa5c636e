"""Models whose weights lack something, or hold what fits nothing, are refused by every loader."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from invdpo.curate.annotators.detector import load as detectors
from invdpo.curate.checkpoints import loading, open_clip
from invdpo.curate.checkpoints.pipelines import find_model
from invdpo.curate.checkpoints.weights import find_weights
from invdpo.curate.scorers import SCORERS
from invdpo.schemas import ModelError
from invdpo.schemas.config.score import ScoreConfig
from tests.curate.annotators.detector.detectors import save_owl
from tests.curate.scorers import released_blip, small_models
from tests.curate.scorers.vlms import save_model

COMPUTED = "embeddings.position_ids"


def copy(folder: Path, target: Path, part: str, gone: str = "", **added: Any) -> Path:
    """The folder again, without a tensor of one of its files, and with others in it."""
    shutil.copytree(folder, target)
    (file,) = (target / part).glob("*.safetensors")
    tensors = load_file(file)
    assert not gone or gone in tensors
    kept = {name: tensor for name, tensor in tensors.items() if name != gone}
    save_file(kept | {n.replace("_", "."): t for n, t in added.items()}, file, {"format": "pt"})
    return target


def refusal(load: Callable[[], object]) -> str:
    with pytest.raises(ModelError) as error:
        load()
    return str(error.value)


def pipeline(folder: Path) -> Any:
    return loading.load(find_model(str(folder)), "float32")


@pytest.mark.parametrize(
    ("part", "gone"),
    [
        ("unet", "conv_in.bias"),
        ("vae", "decoder.conv_in.bias"),
        ("text_encoder", "final_layer_norm.bias"),
    ],
)
def test_parts_of_a_pipeline(tiny_model: Path, tmp_path: Path, part: str, gone: str) -> None:
    """A text encoder without a tensor was drawn with: the library made it up."""
    names = load_file(next((tiny_model / part).glob("*.safetensors")))
    (whole,) = (name for name in names if name.endswith(gone))
    folder = copy(tiny_model, tmp_path / "less", part, whole)
    assert f"less/{part}: lacks " in (text := refusal(lambda: pipeline(folder)))
    assert f"{gone} (1 in all)" in text
    more = copy(tiny_model, tmp_path / "more", part, extra_weight=torch.zeros(2))
    text = refusal(lambda: pipeline(more))
    assert f"more/{part}: has additional tensors: extra.weight (1 in all)" in text


def test_a_folder_by_its_bare_name_is_not_looked_for_on_the_hub(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder here has the name that tables record, as a repository does."""
    monkeypatch.chdir(tiny_model.parent)
    assert type(pipeline(Path(tiny_model.name))).__name__ == "StableDiffusionPipeline"
    assert find_weights(tiny_model.name, "x").options == {}


def test_what_older_versions_saved_is_no_fault(tiny_model: Path, tmp_path: Path) -> None:
    """As the text encoders of SD 1.5 hold it."""
    (file,) = (shutil.copytree(tiny_model, tmp_path / "old") / "text_encoder").glob("*.safetensors")
    tensors = load_file(file) | {COMPUTED: torch.arange(128)[None]}
    save_file(tensors, file, {"format": "pt"})
    older, newer = pipeline(tmp_path / "old").text_encoder, pipeline(tiny_model).text_encoder
    for one, other in zip(older.parameters(), newer.parameters(), strict=True):
        assert torch.equal(one, other)


def scorer(name: str, **settings: Any) -> Any:
    return SCORERS[name](ScoreConfig(device="cpu", **settings))


def test_scorers_and_detectors(tmp_path: Path) -> None:
    for name in ("clip", "owl", "vlm"):
        (tmp_path / name).mkdir()
    pick, owl = small_models.pickscore(tmp_path / "clip"), save_owl(tmp_path / "owl")
    llava = save_model("llava", tmp_path / "vlm")
    loaders: dict[Path, Callable[[str], object]] = {
        pick: lambda name: (
            scorer("pickscore", pickscore_model=name, pickscore_processor=str(pick)).encoder
        ),
        llava: lambda name: scorer("vqascore", vqascore_model=name)._model(),
        owl: lambda name: detectors.load(find_weights(name, "x"), "cpu"),
    }
    for folder, load in loaders.items():
        load(str(folder))
        gone = sorted(load_file(folder / "model.safetensors"))[0]
        less = copy(folder, folder.with_name("less"), ".", gone)
        assert "(1 in all)" in (text := refusal(lambda: load(str(less))))  # noqa: B023
        assert text.startswith(f"{less.name}: lacks ")
        more = copy(folder, folder.with_name("more"), ".", extra_weight=torch.zeros(2))
        expected = f"{more.name}: has additional tensors: extra.weight (1 in all)"
        assert expected in refusal(lambda: load(str(more)))  # noqa: B023


def test_open_clip(tmp_path: Path) -> None:
    """Position embeddings of another size would be stretched without a word."""
    (tmp_path / "clip").mkdir()
    whole = small_models.clip(tmp_path / "clip")

    def load(folder: Path) -> object:
        return open_clip.load(open_clip.find(str(folder), None), "cpu")

    load(whole)
    less = copy(whole, tmp_path / "less", ".", "ln_final.bias")
    assert "lacks ln_final.bias (1 in all)" in refusal(lambda: load(less))
    more = copy(whole, tmp_path / "more", ".", extra_weight=torch.zeros(2))
    assert "extra.weight (1 in all)" in refusal(lambda: load(more))
    place = "visual.positional_embedding"
    tensors = load_file(whole / "open_clip_model.safetensors")
    larger = torch.zeros(37, tensors[place].shape[1])
    (whole / "open_clip_model.safetensors").unlink()
    save_file(tensors | {place: larger}, whole / "open_clip_model.safetensors")
    assert f"has in another shape: {place} (1 in all)" in refusal(lambda: load(whole))


def test_imagereward_has_no_tensor_that_plays_no_part(tmp_path: Path) -> None:
    released_blip.save(tmp_path)
    torch.save(
        released_blip.tensors() | {"blip.else.weight": torch.zeros(1)}, tmp_path / "ImageReward.pt"
    )
    text = refusal(lambda: scorer("imagereward", imagereward_folder=str(tmp_path))._model())
    assert "ImageReward.pt: has additional tensors: blip.else.weight (1 in all)" in text
