from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import ModelError
from invdpo.train.diagnostics.memory import Setting, advice, out_of_memory

GB = 10**9
NETWORK: list[Tensor] = [torch.empty(1000, 1280, device="meta")] * 1953
"""2.5e9 weights: 10 GB in float32."""
NUMBERS = 1000 * 1280 * 1953
LORA: list[Tensor] = [torch.empty(1000, 16, device="meta")] * 1000


def full(gigabytes: float | None, dtype: str = "float32", **known: Any) -> list[str]:
    return advice_lines("full", dtype, NETWORK, gigabytes, **known)


def lora(gigabytes: float | None, dtype: str = "float32", **known: Any) -> list[str]:
    return advice_lines("lora", dtype, LORA, gigabytes, **known)


def advice_lines(
    tuning: str, dtype: str, moving: list[Tensor], gigabytes: float | None, **known: Any
) -> list[str]:
    config = TrainConfig.model_validate({"tuning": tuning, "dtype": dtype})
    device = None if gigabytes is None else int(gigabytes * GB)
    setting = replace(Setting.of(config, 10 * GB, NUMBERS, moving, samples=8), **known)
    return [line.strip() for line in advice(setting, device).splitlines()]


def test_a_graph_too_large_lists_what_helps_from_least_harm_on() -> None:
    first, *rest = full(80)
    assert first == (
        "Out of memory on a device of 80.0 GB: 8 UNet samples in one graph did not fit beside "
        "weights 10.0 GB, gradients 10.0 GB, adamw's states 20.0 GB. Try these changes, the "
        "least harmful first:"
    )
    assert [line.split(" (")[0] for line in rest] == [
        "unet_batch_size: 4",
        "gradient_checkpointing: true",
        "dtype: bfloat16",
        "optimizer: adafactor",
        "optimizer: adamw8bit",
        "tuning: lora",
        "resolution: a lower one",
        "strategy: fsdp on 2 devices",
    ]
    assert "tuning: lora (frees 30.0 GB)" in rest


def test_what_is_set_already_is_not_advised_again() -> None:
    lines = full(80, "bfloat16", samples=1, checkpointing=True, sharded=True, devices=4)
    assert lines[0].startswith("Out of memory on a device of 80.0 GB: 1 UNet sample in one graph")
    assert [line.split(":")[0] for line in lines[1:]] == ["tuning", "resolution"]


def test_where_weights_and_states_fill_the_device_no_batch_size_is_advised() -> None:
    first, *rest = full(24)
    assert "are 40.0 GB before the first image" in first
    assert "the device has 24.0 GB: no unet_batch_size is small enough" in first
    assert rest == [
        "optimizer: adafactor: 20.0 GB",
        "optimizer: adamw8bit: 25.1 GB, still too much",
        "tuning: lora: 10.0 GB",
        "strategy: fsdp on 2 devices: 20.0 GB",
    ]


def test_where_no_change_is_enough_two_are_named() -> None:
    *_, last = full(8, devices=4)
    assert last == "tuning: lora and dtype: bfloat16: 5.0 GB"
    *_, last = full(0.1, devices=2)
    assert last == "That is not enough: use a device with more memory."


def test_lora_halves_its_frozen_weights_and_keeps_its_optimizer() -> None:
    first, *rest = lora(8)
    assert "weights 10.0 GB, gradients 64.0 MB, adamw's states 128.0 MB" in first
    assert rest == ["dtype: bfloat16: 5.2 GB", "strategy: fsdp on 2 devices: 5.1 GB"]


def test_averages_count_and_devices_that_share_hold_their_share() -> None:
    assert "averages 2.5 GB" in full(80, averaged=True, sharded=True, devices=4)[0]
    assert "weights of the start 2.5 GB" in full(80, extrapolated=True, sharded=True, devices=4)[0]


@pytest.mark.parametrize(
    ("changes", "full_bytes", "lora_bytes"),
    [
        ({}, 0, 0),
        ({"objective": "diffusion-dpo"}, 4 * NUMBERS, 0),
        ({"reference_decay": 0.9}, 4 * NUMBERS, 64_000_000),
        ({"objective": "sft", "reference_decay": 0.9}, 0, 0),
    ],
)
def test_what_is_kept_for_a_reference_counts(
    changes: dict[str, Any], full_bytes: int, lora_bytes: int
) -> None:
    tunings: dict[str, list[Tensor]] = {"full": NETWORK, "lora": LORA}
    for (tuning, moving), size in zip(tunings.items(), (full_bytes, lora_bytes), strict=True):
        config = TrainConfig.model_validate({"tuning": tuning, **changes})
        assert Setting.of(config, 0, NUMBERS, moving).parts().get("reference", 0) == size
        assert "reference" not in Setting.of(config, 1, NUMBERS, []).parts()


def test_shared_weights_go_with_adamw_alone() -> None:
    *_, last = full(80, optimizer="adafactor", devices=4)
    assert last.startswith("strategy: fsdp with optimizer adamw on 4 devices (frees ")


def test_without_a_figure_of_the_device_none_is_invented() -> None:
    first, *rest = lora(None)
    assert first.startswith("Out of memory on the device: 8 UNet samples in one graph did not fit")
    assert rest[0] == "unet_batch_size: 4 (the same results)"


def refuse(error: BaseException) -> None:
    with out_of_memory(lambda: "the advice"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("unable to mmap 16 bytes from file: Cannot allocate memory (12)"),
        MemoryError(),
    ],
)
def test_lack_of_memory_becomes_the_advice(error: BaseException) -> None:
    with pytest.raises(ModelError, match=r"^the advice$"):
        refuse(error)


def test_the_cpu_allocator_s_own_error_becomes_the_advice() -> None:
    with pytest.raises(ModelError, match=r"^the advice$"), out_of_memory(lambda: "the advice"):
        torch.empty(2**55)


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        refuse(RuntimeError("shapes differ"))
