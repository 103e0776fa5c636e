"""An optimiser's state as named tensors and JSON, and back, bit for bit; nothing is pickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from invdpo.schemas.errors import WorkspaceError

Packed = tuple[dict[str, Tensor], dict[str, Any]]

ADVICE = "Continue with the options it was made with, or start again in another folder."


def pack_optimizer(optimizer: Optimizer, names: Sequence[str]) -> Packed:
    """The state of any torch optimiser: tensors on the CPU, and the rest in JSON's types.

    `names` are those of the parameters, in the optimiser's order. Tensor subclasses such as 8-bit
    states are split into plain tensors by their own protocol. Sharded states are gathered, so every
    process must call this.
    """
    tensors: dict[str, Tensor] = {}
    states = {
        name: {
            slot: _pack_state(f"{name} {slot}", v, tensors)
            for slot, v in optimizer.state[p].items()
        }
        for name, p in zip(names, _parameters(optimizer), strict=True)
        if p in optimizer.state
    }
    return tensors, {
        "optimizer": type(optimizer).__name__,
        "shapes": _shapes(optimizer, names),
        "groups": [
            {key: _plain(v) for key, v in group.items() if key != "params"}
            for group in optimizer.param_groups
        ],
        "states": states,
    }


def unpack_optimizer(
    optimizer: Optimizer,
    names: Sequence[str],
    tensors: Mapping[str, Tensor],
    packed: Mapping[str, Any],
) -> None:
    """Give the packed state to `optimizer`, which was made with the same options.

    Raises `WorkspaceError` when it is of another kind or its parameters have other names or shapes.
    """
    _check(optimizer, names, packed)
    parameters = _parameters(optimizer)
    try:
        state = {
            index: {
                slot: _unpack_state(f"{name} {slot}", spec, tensors, parameters[index])
                for slot, spec in packed["states"][name].items()
            }
            for index, name in enumerate(names)
            if name in packed["states"]
        }
    except KeyError as error:
        raise WorkspaceError(
            f"The optimiser's state lacks {error}. It can't be used; start again."
        ) from None
    groups = optimizer.state_dict()["param_groups"]
    merged = [_merged(*pair) for pair in zip(groups, packed["groups"], strict=True)]
    optimizer.load_state_dict({"state": state, "param_groups": merged})


def gather(tensor: Tensor) -> Tensor:
    """A tensor's values on the CPU; a sharded one is gathered, so every process must call this."""
    if isinstance(tensor, DTensor):
        # a view into padded memory where the processes' shares are unequal, which is not saved
        return tensor.full_tensor().detach().to("cpu", copy=True).contiguous()
    return tensor.detach().cpu().contiguous()


def place_like(saved: Tensor, like: Tensor) -> Tensor:
    """A copy of `saved` on the device, in the memory order and the shards of `like`."""
    if isinstance(like, DTensor):
        return distribute_tensor(saved.to(like.device), like.device_mesh, like.placements)
    return torch.empty_like(like, dtype=saved.dtype, requires_grad=False).copy_(saved)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _shapes(optimizer: Optimizer, names: Sequence[str]) -> dict[str, list[int]]:
    return {n: list(p.shape) for n, p in zip(names, _parameters(optimizer), strict=True)}


def _pack_state(key: str, value: Any, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Put the tensors of one state into `tensors`; returns how to put it together again."""
    if isinstance(value, DTensor):
        value = value.full_tensor()
    if not isinstance(value, Tensor):
        return {"value": value}
    if not hasattr(value, "__tensor_flatten__"):
        tensors[key] = gather(value)
        return {}
    parts, context = value.__tensor_flatten__()
    for part in parts:
        tensors[f"{key} {part}"] = gather(getattr(value, part))
    plain = [str(c) if isinstance(c, torch.dtype) else c for c in context]
    return {"wrapped": type(value).__name__, "parts": list(parts), "context": plain}


def _unpack_state(
    key: str, spec: dict[str, Any], tensors: Mapping[str, Tensor], like: Tensor
) -> Any:
    """One state of the parameter `like`, from what `_pack_state` made of it."""
    if "value" in spec:
        return spec["value"]
    if "wrapped" in spec:
        parts = {part: tensors[f"{key} {part}"].to(like.device) for part in spec["parts"]}
        return _wrapper(spec["wrapped"]).__tensor_unflatten__(
            parts, [_dtype_or_self(c) for c in spec["context"]], like.shape, like.stride()
        )
    saved = tensors[key]
    return place_like(saved, like) if saved.shape == like.shape else saved.clone()


def _wrapper(name: str) -> Any:
    """The class of a state that consists of several tensors; known ones alone."""
    if name != "OptimState8bit":
        raise WorkspaceError(f"The optimiser's state contains a {name}, which is unknown. {ADVICE}")
    from torchao.optim.subclass_8bit import OptimState8bit

    return OptimState8bit


def _dtype_or_self(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("torch."):
        return getattr(torch, value.removeprefix("torch."))
    return value


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) else value


def _merged(group: dict[str, Any], saved: dict[str, Any]) -> dict[str, Any]:
    """The saved options, in the types that the present ones have."""
    return group | {key: _typed(v, group[key]) for key, v in saved.items() if key in group}


def _typed(value: Any, present: Any) -> Any:
    if isinstance(present, Tensor):
        return torch.full_like(present, value)
    return tuple(value) if isinstance(present, tuple) else value


def _check(optimizer: Optimizer, names: Sequence[str], packed: Mapping[str, Any]) -> None:
    kind, shapes = type(optimizer).__name__, _shapes(optimizer, names)
    if packed["optimizer"] != kind or len(packed["groups"]) != len(optimizer.param_groups):
        raise WorkspaceError(
            f"The state is of the optimiser {packed['optimizer']}, but the optimiser is now "
            f"{kind}. {ADVICE}"
        )
    saved = packed["shapes"]
    wrong = [n for n in {**saved, **shapes} if saved.get(n) != shapes.get(n)]
    if wrong:
        was, now = (known.get(wrong[0], "no parameter of that name") for known in (saved, shapes))
        raise WorkspaceError(
            f"The optimiser's state does not fit the model: {len(wrong)} parameters differ; the "
            f"first, {wrong[0]}, has the shape {was} in the state, now {now}. {ADVICE}"
        )
