"""Training that goes on from an earlier training's weights, tied to them or to the base model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from invdpo.curate.shapes.bundle import model_path
from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ConfigError, ModelError
from invdpo.train.distributed import ProcessGroup
from invdpo.train.models import load_adapter
from invdpo.train.models.finetuning import LoraTuning, start_tuning
from invdpo.train.models.lora_format import FILE
from invdpo.train.models.start import (
    drawing_revision,
    load_denoiser,
    load_lora,
    notes_on_base,
    reference_id,
    start_id,
)

CPU = torch.device("cpu")


def _config(**values: Any) -> TrainConfig:
    targets = ("to_q", "to_k", "to_v", "to_out.0")
    return TrainConfig(model=str(model_path()), lora_rank=2, lora_targets=targets, **values)


def _tuned(folder: Path, **values: Any) -> Path:
    """A LoRA whose both halves are far from nothing."""
    tuning = start_tuning(
        load_adapter(_config(), CPU), _config(**values), ProcessGroup(CPU), keep_reference=False
    )
    with torch.no_grad():
        for number, parameter in enumerate(tuning.parameters):
            parameter.copy_(torch.full_like(parameter, 0.01 * (number % 7 + 1)))
    tuning.save(folder)
    return folder


def test_a_lora_goes_on_exactly_where_it_was(tmp_path: Path) -> None:
    start = _tuned(tmp_path / "first")
    config = _config(start_from=str(start))
    tuning = start_tuning(
        load_adapter(config, CPU), config, ProcessGroup(CPU), keep_reference=False
    )
    tuning.save(tmp_path / "second")
    first, second = (load_file(tmp_path / name / FILE) for name in ("first", "second"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_base_model_stays_the_reference_unless_the_start_is_asked_for(tmp_path: Path) -> None:
    start = _tuned(tmp_path / "first")
    config = _config(start_from=str(start))
    adapter = load_adapter(config, CPU)
    x, t = torch.randn(1, *adapter.latent_shape((64, 64))), torch.tensor([500])
    conditioning = adapter.encode_prompts(["a red circle"])
    with torch.no_grad():
        base = adapter.predict(adapter.denoiser, x, t, conditioning)
        tuning = LoraTuning(adapter, config, ProcessGroup(CPU))
        started = adapter.predict(adapter.denoiser, x, t, conditioning)
        with tuning.reference() as frozen:
            reference = adapter.predict(frozen, x, t, conditioning)
    assert (started - base).abs().max() > 1e-3
    torch.testing.assert_close(reference, base)


def test_cached_quantities_are_those_of_their_reference(tmp_path: Path) -> None:
    start = _tuned(tmp_path / "first")
    base = _config(start_from=str(start))
    tied = _config(start_from=str(start), reference="start")
    assert reference_id("base", _config()) == reference_id("base", base) == "base"
    assert reference_id("base", tied) != "base"
    assert start_id(_config()) is None
    before = start_id(tied)
    weights = load_file(start / FILE)
    save_file({name: tensor + 1 for name, tensor in weights.items()}, start / FILE)
    assert start_id(tied) != before


def test_a_lora_of_another_rank_is_refused_with_the_number_that_fits(tmp_path: Path) -> None:
    start = _tuned(tmp_path / "first")
    config = _config(start_from=str(start)).model_copy(update={"lora_rank": 4})
    with pytest.raises(ConfigError, match=r"start_from: .* of which 0 fit"):
        start_tuning(load_adapter(config, CPU), config, ProcessGroup(CPU), keep_reference=False)


def test_all_weights_go_on_from_another_model_with_the_base_as_reference(tmp_path: Path) -> None:
    config = _config(tuning="full")
    tuning = start_tuning(
        load_adapter(config, CPU), config, ProcessGroup(CPU), keep_reference=False
    )
    with torch.no_grad():
        tuning.parameters[0].add_(1)
    tuning.save(tmp_path / "first")
    config = _config(tuning="full", start_from=str(tmp_path / "first"))
    later = start_tuning(load_adapter(config, CPU), config, ProcessGroup(CPU), keep_reference=True)
    name = next(iter(later.named))
    assert torch.equal(later.named[name], tuning.named[name])
    with later.reference() as frozen:
        assert torch.equal(frozen.get_parameter(name) + 1, later.named[name])


def test_a_start_of_another_kind_is_refused(tmp_path: Path) -> None:
    _tuned(tmp_path / "lora")
    config = _config(tuning="full", start_from=str(tmp_path / "lora"))
    with pytest.raises(ConfigError, match="is not a model of this kind"):
        start_tuning(load_adapter(config, CPU), config, ProcessGroup(CPU), keep_reference=False)


def test_a_start_without_all_weights_is_told_before_phase_one(tmp_path: Path) -> None:
    start = _tuned(tmp_path / "lora")
    with pytest.raises(ConfigError, match=r"found a LoRA in .*lora; allowed with tuning: full"):
        start_id(_config(tuning="full", start_from=str(start)))
    with pytest.raises(ConfigError, match=r"found no model in .*nothing; .*unet or transformer"):
        start_id(_config(tuning="full", start_from=str(tmp_path / "nothing")))


def test_weights_to_start_from_that_are_gone_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"start_from: .* can't be read"):
        load_lora(None, tmp_path)
    layer = torch.nn.Linear(2, 1)
    with pytest.raises(ConfigError, match="is not a model of this kind"):
        load_denoiser(layer, tmp_path, "unet")
    (tmp_path / "unet").mkdir()
    save_file({"weight": torch.ones(1, 2)}, tmp_path / "unet" / "model.safetensors")
    with pytest.raises(ConfigError, match="is a model of another kind: 1 tensor"):
        load_denoiser(layer, tmp_path, "unet")
    config = TrainConfig(model="m", start_from=str(tmp_path / "gone"))
    with pytest.raises(ModelError, match=r"start_from: .*gone.*: No such file"):
        start_id(config)


def test_a_lora_of_another_base_is_told(tmp_path: Path) -> None:
    """By the report of its training, beside it or above its checkpoints; else nobody knows."""
    tuned = tmp_path / "tuned"
    (tuned / "checkpoints" / "step-000001").mkdir(parents=True)
    starts = [tuned, tuned / "checkpoints" / "step-000001"]
    configs = [TrainConfig(model="m", start_from=str(folder)) for folder in starts]
    assert not any(notes_on_base(config, "ours") for config in configs)
    (tuned / "training.json").write_text(json.dumps({"model": "another"}))
    for config in configs:
        (note,) = notes_on_base(config, "ours")
        assert note.startswith("start_from: this LoRA was trained on a model with other weights")
        assert not notes_on_base(config, "another")
        assert not notes_on_base(config.model_copy(update={"tuning": "full"}), "ours")
    (tuned / "training.json").write_text("[")
    assert not notes_on_base(configs[0], "ours")
    assert not notes_on_base(TrainConfig(model="m"), "ours")


def test_all_weights_decide_what_a_full_training_starts_from(tmp_path: Path) -> None:
    config = TrainConfig(model="m", start_from=str(tmp_path), tuning="full")
    (tmp_path / "unet").mkdir()
    ids = []
    for name, value in (("a", 1.0), ("b", 1.0), ("b", 2.0)):
        save_file({"weight": torch.full((2,), value)}, tmp_path / "unet" / f"{name}.safetensors")
        ids.append(start_id(config))
    assert len({*ids}) == 3


def test_images_of_a_reference_with_a_lora_are_known_by_both(tmp_path: Path) -> None:
    """A model of the Hub's cache is known by its commit; a LoRA by the hash of its file."""
    adapter: Any = SimpleNamespace(folder=tmp_path / "snapshots" / "abc")
    plain = TrainConfig(model="m")
    assert drawing_revision(adapter, plain) == "abc"
    save_file({"weight": torch.ones(1)}, tmp_path / FILE)
    digest = hashlib.sha256((tmp_path / FILE).read_bytes()).hexdigest()[:32]
    tied = TrainConfig(model="m", start_from=str(tmp_path), reference="start")
    assert drawing_revision(adapter, tied) == f"abc+{digest}"
    base = TrainConfig(model="m", start_from=str(tmp_path), reference="base")
    assert drawing_revision(adapter, base) == "abc"
