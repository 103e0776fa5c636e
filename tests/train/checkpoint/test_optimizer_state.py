from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from invdpo.schemas.errors import WorkspaceError
from invdpo.train.checkpoint import optimizer_state
from invdpo.train.checkpoint.optimizer_state import pack_optimizer, unpack_optimizer
from invdpo.train.checkpoint.state import TrainState, load_state, save_state
from invdpo.train.optim.ema import Average
from invdpo.train.optim.optimizers import OptimizerName, make_optimizer

OPTIMIZERS: list[OptimizerName] = ["adamw", "adafactor", "adamw8bit"]
missing = importlib.util.find_spec("torchao") is None
ALL = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            missing and name == "adamw8bit", reason="needs the extra eightbit"
        ),
    )
    for name in OPTIMIZERS
]


class Toy:
    """A training in small: network, optimiser, scheduler, average; a step's data is its number."""

    def __init__(self, name: OptimizerName) -> None:
        torch.manual_seed(0)
        layers = [nn.Conv2d(4, 32, 3), nn.Conv2d(32, 16, 3), nn.Flatten(), nn.Linear(64, 64)]
        self.network = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        self.names, moving = map(list, zip(*self.network.named_parameters(), strict=True))
        self.optimizer = make_optimizer(name, moving, 1e-2, 0.01)
        self.rate = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: 0.9**step)
        self.average = Average(moving, 0.99)
        self.done = 0

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.done += 1
            x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(self.done))
            self.network(x.to(memory_format=torch.channels_last)).square().mean().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.rate.step()
            self.average.update(self.done)

    def state(self) -> TrainState:
        tensors, meta = pack_optimizer(self.optimizer, self.names)
        average = dict(zip(self.names, self.average.tensors, strict=True))
        weights = dict(self.network.named_parameters())
        return TrainState(self.done, {}, {}, {}, weights, tensors, meta, average)

    def restore(self, state: TrainState) -> None:
        self.done = state.step
        self.network.load_state_dict(state.weights)
        unpack_optimizer(self.optimizer, self.names, state.optimizer, state.optimizer_meta)
        last = [group["lr"] for group in self.optimizer.param_groups]
        at = {"last_epoch": state.step, "_last_lr": last}
        self.rate.load_state_dict(self.rate.state_dict() | at)
        self.average.restore([state.average[name] for name in self.names])


@pytest.mark.parametrize("name", ALL)
def test_resumed_equals_undisturbed_bit_for_bit(tmp_path: Path, name: OptimizerName) -> None:
    straight, first, second = Toy(name), Toy(name), Toy(name)
    straight.train(10)
    first.train(5)
    save_state(tmp_path, first.state())
    state, notes = load_state(tmp_path)
    assert state is not None
    second.restore(state)
    second.train(5)
    assert notes == []
    assert same_weights(straight, second)
    assert not same_weights(straight, first)
    assert all(map(torch.equal, straight.average.tensors, second.average.tensors))
    assert straight.rate.get_last_lr() == second.rate.get_last_lr()


def same_weights(first: Toy, second: Toy) -> bool:
    pairs = zip(first.network.parameters(), second.network.parameters(), strict=True)
    return all(torch.equal(p, q) for p, q in pairs)


@pytest.mark.parametrize("name", ALL)
def test_without_the_optimizer_s_state_it_is_another_training(name: OptimizerName) -> None:
    straight, other = Toy(name), Toy(name)
    straight.train(5)
    other.network.load_state_dict(straight.network.state_dict())
    other.done = 5
    straight.train(1)
    other.train(1)
    assert not same_weights(straight, other)


def test_a_state_before_the_first_step_is_one_too(tmp_path: Path) -> None:
    straight, other = Toy("adamw"), Toy("adamw")
    save_state(tmp_path, straight.state())
    state, _ = load_state(tmp_path)
    assert state is not None
    other.restore(state)
    straight.train(2)
    other.train(2)
    assert same_weights(straight, other)


def test_another_optimizer_is_refused() -> None:
    toy, other = Toy("adamw"), Toy("adafactor")
    with pytest.raises(
        WorkspaceError, match=r"of the optimiser AdamW, but the optimiser is now Adafactor"
    ):
        unpack_optimizer(other.optimizer, other.names, *pack_optimizer(toy.optimizer, toy.names))


def test_other_names_are_refused() -> None:
    toy = Toy("adamw")
    toy.train(1)
    packed = pack_optimizer(toy.optimizer, toy.names)
    names = ["other", *toy.names[1:]]
    with pytest.raises(WorkspaceError, match=r"2 parameters differ; the first, 0\.weight"):
        unpack_optimizer(toy.optimizer, names, *packed)


def test_other_shapes_are_refused() -> None:
    saved, now = (
        make_optimizer("adamw", [nn.Parameter(torch.ones(shape))], 0.1, 0) for shape in (2, 3)
    )
    with pytest.raises(WorkspaceError, match=r"first, w, has the shape \[2\] in the state, now"):
        unpack_optimizer(now, ["w"], *pack_optimizer(saved, ["w"]))


def test_a_missing_tensor_is_refused() -> None:
    toy = Toy("adamw")
    toy.train(1)
    tensors, meta = pack_optimizer(toy.optimizer, toy.names)
    del tensors["0.weight exp_avg"]
    with pytest.raises(WorkspaceError, match=r"lacks '0\.weight exp_avg'"):
        unpack_optimizer(toy.optimizer, toy.names, tensors, meta)


SHARDED = """
import os, sys
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from invdpo.schemas.errors import ConfigError
from invdpo.train.checkpoint.optimizer_state import (
    gather, pack_optimizer, place_like, unpack_optimizer
)
from invdpo.train.optim.ema import Average
from invdpo.train.optim.optimizers import make_optimizer

class Run:
    def __init__(self, mesh):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(8, 7), nn.Linear(7, 3))
        self.network = fully_shard(network, mesh=mesh)
        self.names, self.moving = zip(*network.named_parameters())
        self.optimizer = make_optimizer("adamw", list(self.moving), 1e-2, 0.01)
        self.average = Average(self.moving, 0.9)

    def train(self, steps):
        for step in steps:
            x = torch.randn(4, 8, generator=torch.Generator().manual_seed(step))
            self.network(x).square().mean().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.average.update(step)
        return self

    def all(self):
        return [gather(t) for t in (*self.moving, *self.average.tensors)]

def equal(first, second):
    return all(map(torch.equal, first, second))

def check(mesh):
    straight, first, second = Run(mesh).train(range(1, 7)), Run(mesh).train(range(1, 4)), Run(mesh)
    saved, packed = first.all(), pack_optimizer(first.optimizer, first.names)
    with torch.no_grad():
        for p, value in zip(second.moving, saved):
            p.copy_(place_like(value, p))
    second.average.restore(saved[4:])
    unpack_optimizer(second.optimizer, second.names, *packed)
    second.train(range(4, 7))
    assert equal(straight.all(), second.all()) and not equal(straight.all(), saved)
    before = straight.all()
    with straight.average.swapped():
        assert equal([gather(p) for p in straight.moving], before[4:])
    assert equal(straight.all(), before)
    try:
        make_optimizer("adafactor", list(first.moving), 1e-2, 0.0)
    except ConfigError:
        return
    raise SystemExit("adafactor was not refused")

def work(rank):
    dist.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=rank, world_size=2)
    check(init_device_mesh("cpu", (2,)))
    dist.destroy_process_group()

child = os.fork()
work(0 if child else 1)
if child and os.waitpid(child, 0)[1]:
    raise SystemExit("the other process failed")
"""


def test_two_processes_that_share_the_weights_go_on_bit_for_bit(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHARDED, str(tmp_path / "store")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


class Halves(torch.Tensor):
    """A state of two tensors and a type, as the 8-bit optimizer has them."""

    low: torch.Tensor
    high: torch.Tensor

    def __tensor_flatten__(self) -> tuple[list[str], list[object]]:
        return ["low", "high"], [torch.bfloat16, 7]

    @staticmethod
    def __tensor_unflatten__(
        parts: dict[str, torch.Tensor], context: list[object], shape: object, stride: object
    ) -> object:
        return parts, context, shape, stride


def test_a_state_of_several_tensors_is_taken_apart_and_put_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state, like = torch.zeros(2, 3).as_subclass(Halves), torch.zeros(2, 3)
    state.low, state.high = torch.ones(4), torch.full((2,), 2.0)
    tensors: dict[str, torch.Tensor] = {}
    spec = optimizer_state._pack_state("w exp_avg", state, tensors)
    assert spec == {"wrapped": "Halves", "parts": ["low", "high"], "context": ["torch.bfloat16", 7]}
    assert tensors["w exp_avg low"].tolist() == [1.0] * 4
    monkeypatch.setattr(optimizer_state, "_wrapper", {"Halves": Halves}.__getitem__)
    parts, *rest = optimizer_state._unpack_state("w exp_avg", spec, tensors, like)
    assert rest == [[torch.bfloat16, 7], like.shape, like.stride()]
    assert {name: part.tolist() for name, part in parts.items()} == {
        "low": [1.0] * 4,
        "high": [2.0] * 2,
    }


def test_a_state_that_is_a_number_stays_one_and_an_unknown_class_is_not_made() -> None:
    assert optimizer_state._pack_state("w step", 3, {}) == {"value": 3}
    assert optimizer_state._unpack_state("w step", {"value": 3}, {}, torch.zeros(1)) == 3
    with pytest.raises(WorkspaceError, match="contains a Popen, which is unknown"):
        optimizer_state._wrapper("Popen")
