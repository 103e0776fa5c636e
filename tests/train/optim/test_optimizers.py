from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import Tensor, nn

from invdpo.schemas.errors import ConfigError, PluginError
from invdpo.train.optim import optimizers
from invdpo.train.optim.optimizers import OptimizerName, check_sharding, make_optimizer, state_bytes

NAMES: list[OptimizerName] = ["adamw", "adafactor", "adamw8bit"]
needs_torchao = pytest.mark.skipif(
    importlib.util.find_spec("torchao") is None, reason="needs the extra eightbit"
)
ALL = [pytest.param(name, marks=needs_torchao if name == "adamw8bit" else []) for name in NAMES]


def weights(*shapes: tuple[int, ...]) -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(0.1 * torch.randn(shape)) for shape in shapes]


def stepped(
    name: OptimizerName, moving: list[nn.Parameter], steps: int, scale: float = 1.0
) -> torch.optim.Optimizer:
    """Steps towards zero: the gradient is the weight times `scale`."""
    optimizer = make_optimizer(name, moving, 0.01, 0.0)
    for _ in range(steps):
        for p in moving:
            p.grad = scale * p.detach()
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("name", ALL)
def test_every_optimizer_descends(name: OptimizerName) -> None:
    moving = weights((64, 64), (7,), (8, 4, 3, 3))
    before = [p.detach().norm().item() for p in moving]
    stepped(name, moving, 10)
    assert all(p.norm().item() < b for p, b in zip(moving, before, strict=True))


@pytest.mark.parametrize("name", ALL)
def test_state_bytes_are_those_of_the_real_states(name: OptimizerName) -> None:
    moving = weights((64, 64), (4095,), (5000,), (8, 4, 3, 3), (16, 16, 4, 4), (3, 1280))
    optimizer = stepped(name, moving, 1)
    kept = [v for p in moving for slot, v in optimizer.state[p].items() if slot != "step"]
    assert state_bytes(name, moving) == sum(map(real_bytes, kept))


def real_bytes(state: Tensor) -> int:
    if not hasattr(state, "__tensor_flatten__"):
        return state.nbytes
    parts, _ = state.__tensor_flatten__()
    return sum(getattr(state, part).nbytes for part in parts)


@needs_torchao
def test_8bit_states_only_of_large_tensors_of_whole_blocks() -> None:
    moving = weights((64, 64), (63, 64), (4097,))
    optimizer = stepped("adamw8bit", moving, 1)
    kinds = [type(optimizer.state[p]["exp_avg"]).__name__ for p in moving]
    assert kinds == ["OptimState8bit", "Tensor", "Tensor"]


@needs_torchao
def test_8bit_stays_near_adamw() -> None:
    exact, coarse = weights((64, 64)), weights((64, 64))
    start = exact[0].detach().clone()
    stepped("adamw", exact, 20)
    stepped("adamw8bit", coarse, 20)
    moved, apart = (exact[0] - start).norm().item(), (exact[0] - coarse[0]).norm().item()
    assert 0 < apart < 0.05 * moved


@needs_torchao
def test_8bit_on_the_cpu_needs_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("No C++ compiler")

    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", refuse)
    stepped("adamw8bit", weights((64, 64)), 1)


@needs_torchao
def test_a_scheduler_sets_the_8bit_rate() -> None:
    moving = weights((64, 64))
    optimizer = make_optimizer("adamw8bit", moving, 0.5, 0.0)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    moving[0].grad = torch.ones_like(moving[0])
    optimizer.step()
    rate.step()
    assert float(rate.get_last_lr()[0]) == 0.25
    before = moving[0].detach().clone()
    optimizer.step()
    assert (before - moving[0]).mean().item() == pytest.approx(0.25, rel=0.05)


def test_8bit_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"adamw8bit.*invdpo\[eightbit\]"):
        make_optimizer("adamw8bit", weights((2, 2)), 0.1, 0.0)


def test_sharded_weights_go_with_adamw_alone() -> None:
    check_sharding("adamw", sharded=True)
    check_sharding("adafactor", sharded=False)
    with pytest.raises(ConfigError, match=r"optimizer: found adafactor.*fsdp.*Allowed.*: adamw"):
        check_sharding("adafactor", sharded=True)


@pytest.mark.parametrize("rms", [0.02, 0.0])
def test_adafactor_s_rate_is_relative_to_the_weights(rms: float) -> None:
    weight = nn.Parameter(torch.full((8, 8), rms))
    optimizer = make_optimizer("adafactor", [weight], 1e-2, 0.0)
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    moved = (weight.detach() - rms).abs()
    assert moved.mean().item() == pytest.approx(max(1e-3, rms) * 1e-2, rel=1e-3)


def test_adafactor_is_not_blunted_by_small_gradients() -> None:
    """Gradients a millionth as large lead to the same weights, as in AdamW."""
    plain, small = weights((16, 16), (9,)), weights((16, 16), (9,))
    stepped("adafactor", plain, 5)
    stepped("adafactor", small, 5, scale=1e-6)
    for p, q in zip(plain, small, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-7)


def test_adafactor_takes_zero_gradients() -> None:
    moving = weights((4, 4), (4,))
    before = [p.detach().clone() for p in moving]
    stepped("adafactor", moving, 2, scale=0.0)
    assert all(map(torch.equal, moving, before))


def test_compiling_is_tried_on_accelerators_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bool] = []

    def compile_works(function: object) -> object:
        tried.append(True)
        return function

    def compile_fails(_: object) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", compile_works)
    assert not optimizers._compiles(torch.device("cpu"))
    assert not tried
    assert optimizers._compiles(torch.device("meta"))
    assert tried
    monkeypatch.setattr(torch, "compile", compile_fails)
    assert not optimizers._compiles(torch.device("meta"))


def test_small_tensors_keep_plain_states_with_the_8_bit_optimizer() -> None:
    """Two moments of four bytes each."""
    assert state_bytes("adamw8bit", [torch.zeros(10)]) == 10 * 2 * 4
