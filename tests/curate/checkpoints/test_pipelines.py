"""Names of models: what is found, and what is refused with the missing piece named."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from invdpo.curate.checkpoints import pipelines
from invdpo.curate.checkpoints.loading import load
from invdpo.schemas import ConfigError, ModelError
from invdpo.schemas.io.model_folder import folder_revision
from tests.hub_server import connected


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the pipeline to be damaged."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def test_folder_is_known_by_content(tiny_model: Path, folder: Path) -> None:
    one, other = pipelines.find_model(str(tiny_model)), pipelines.find_model(str(folder))
    assert one.revision == other.revision
    assert (one.name, other.name) == ("pipeline", "model")
    (folder / "README.md").write_text("words change nothing")
    assert folder_revision(folder) == one.revision
    scheduler = folder / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace("0.02", "0.03"))
    assert folder_revision(folder) != one.revision


def test_unknown_name_tells_what_is_allowed() -> None:
    with pytest.raises(
        ModelError, match=r"'sdxl'\. Allowed: `embedded`, `embedded-flow`, an existing"
    ):
        pipelines.find_model("sdxl")


def test_revision_is_for_the_hub(tiny_model: Path) -> None:
    with pytest.raises(ConfigError, match=r"generate\.revision: found 'main'"):
        pipelines.find_model(str(tiny_model), "main")


def test_folder_that_is_no_pipeline(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ModelError, match=r"no model_index\.json.*found: notes\.txt"):
        pipelines.find_model(str(tmp_path))
    (tmp_path / "model_index.json").write_text("{broken")
    with pytest.raises(ModelError, match=r"model_index\.json: not JSON"):
        pipelines.find_model(str(tmp_path))


def test_missing_weights_and_missing_folder(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"unet: no weights; expected a \.safetensors file"):
        pipelines.find_model(str(folder))
    shutil.rmtree(folder / "unet")
    with pytest.raises(ModelError, match=r"the folder 'unet'.*is missing"):
        pipelines.find_model(str(folder))


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("unet/config.json", r"unet: config\.json is missing"),
        ("text_encoder/config.json", r"text_encoder: config\.json is missing"),
        ("tokenizer/tokenizer.json", r"tokenizer: no vocabulary; expected tokenizer\.json, vocab"),
        ("tokenizer/tokenizer_config.json", r"tokenizer: tokenizer_config\.json is missing"),
        ("scheduler/scheduler_config.json", r"scheduler: scheduler_config\.json is missing"),
    ],
)
def test_missing_files_are_named(folder: Path, gone: str, said: str) -> None:
    (folder / gone).unlink()
    with pytest.raises(ModelError, match=said):
        pipelines.find_model(str(folder))


def test_vocabularies_in_other_forms(folder: Path) -> None:
    vocabulary = folder / "tokenizer" / "tokenizer.json"
    vocabulary.rename(vocabulary.with_name("vocab.json"))
    with pytest.raises(ModelError, match=r"merges\.txt is missing"):
        pipelines.find_model(str(folder))
    (folder / "tokenizer" / "vocab.json").rename(folder / "tokenizer" / "spiece.model")
    assert pipelines.find_model(str(folder)).name == "model"


def test_an_index_without_a_piece_is_told(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    del index["unet"], index["scheduler"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"its index names no unet and no scheduler\."):
        load(pipelines.find_model(str(folder)), "float32")


def test_pickle_is_refused(folder: Path) -> None:
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelError, match=r"vae: found diffusion_pytorch_model\.bin, a pickle"):
        pipelines.find_model(str(folder))
    pickle = folder / "model.ckpt"
    pickle.write_bytes(b"")
    with pytest.raises(ModelError, match="a pickle, which can run code, is refused"):
        pipelines.find_model(str(pickle))


def test_lora(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such LoRA"):
        pipelines.find_lora(str(tmp_path / "none"))
    with pytest.raises(ModelError, match="no LoRA weights"):
        pipelines.find_lora(str(tmp_path))
    (tmp_path / "pytorch_lora_weights.bin").write_bytes(b"")
    with pytest.raises(ModelError, match=r"found pytorch_lora_weights\.bin, a pickle"):
        pipelines.find_lora(str(tmp_path))
    (tmp_path / "pytorch_lora_weights.safetensors").write_bytes(b"1")
    found = pipelines.find_lora(str(tmp_path))
    assert found.location.endswith(".safetensors")
    (tmp_path / "other.safetensors").write_bytes(b"2")
    with pytest.raises(ModelError, match="several weight files"):
        pipelines.find_lora(str(tmp_path))


def test_unreachable_hub_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"^nobody/nothing: no such file .*ConnectError"):
        pipelines.find_model("nobody/nothing")
    with pytest.raises(
        ModelError, match=r"^nobody/style: no such file .* can't be reached at .*ConnectError"
    ):
        pipelines.find_lora("nobody/style")


def test_unreachable_hub_uses_the_copy_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", offline)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)
    with pytest.raises(
        ModelError, match="no such file or folder here, and the Hub can't be reached"
    ):
        pipelines.find_model("organisation/name")
    index = tmp_path / "abc123" / "model_index.json"
    index.parent.mkdir()
    index.write_text(json.dumps({}))
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: str(index))
    assert pipelines.find_model("organisation/name").revision == "abc123"


def test_lora_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(monkeypatch, tmp_path) as hub:
        hub.add("models", "alice/style", **{"pytorch_lora_weights.safetensors": b"1", "x.bin": b""})
        hub.objects[hashlib.sha256(b"1").hexdigest()] = b"1"
        hub.add("models", "alice/two", **{"a.safetensors": b"1", "b.safetensors": b"2"})
        hub.add("models", "alice/pickled", **{"pytorch_lora_weights.bin": b"1"})
        found = pipelines.find_lora("alice/style")
        assert found.name == "alice/style"
        assert Path(found.location).read_bytes() == b"1"
        (tmp_path / "same.safetensors").write_bytes(b"1")
        assert found.revision == pipelines.find_lora(str(tmp_path / "same.safetensors")).revision
        with pytest.raises(ModelError, match=r"files there: a\.safetensors, b\.safetensors\."):
            pipelines.find_lora("alice/two")
        with pytest.raises(ModelError, match="files there: none"):
            pipelines.find_lora("alice/pickled")
        with pytest.raises(
            ModelError, match="no such file or folder here, and no such model on the Hub"
        ):
            pipelines.find_lora("alice/none")
