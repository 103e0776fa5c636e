"""All that a training continues from, on disk: safetensors and JSON; damaged states are ignored.

`folder/step-000100/` holds the tensors and `state.json` with a checksum of each file and of itself.
It is written under a hidden name, flushed to the disk and renamed; then older ones are removed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from invdpo.schemas.io.documents import MAX_LISTS, read_file, read_json
from invdpo.schemas.io.files import disk_errors, flush, flush_tree, hash_file, plain_modes
from invdpo.train.checkpoint.optimizer_state import gather

FORMAT = 1
HALF_WRITTEN = ".step-*.tmp"
TENSORS = ("weights", "optimizer", "average", "reference")
"""Fields of `TrainState` that are tensors, each a safetensors file."""


@dataclass
class Progress:
    """The progress of a run."""

    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    seconds: float = 0.0
    """Spent on training steps alone."""
    validation_seconds: float = 0.0
    forwards: int = 0
    """UNet sample-forwards of training steps of all processes, the reference's included."""


@dataclass
class TrainState:
    """The state of a training. Its JSON parts keep floats exactly, infinity included.

    Tensors that processes share are gathered before, by every process: `optimizer_state.gather`.
    """

    step: int
    """Optimiser steps done."""
    config: dict[str, Any]
    identity: dict[str, Any]
    """Fingerprint of the model, ids of the pairs, number of pairs per step; see `resume`."""
    progress: dict[str, Any]
    weights: Mapping[str, Tensor]
    """The trained weights, by parameter name."""
    optimizer: Mapping[str, Tensor]
    optimizer_meta: dict[str, Any]
    """With `optimizer`, what `pack_optimizer` returned."""
    average: Mapping[str, Tensor] = field(default_factory=dict)
    """Averaged weights by parameter name; empty without."""
    reference: Mapping[str, Tensor] = field(default_factory=dict)
    """The weights of a reference that follows, by parameter name; empty for a fixed one."""
    scaler: dict[str, Any] = field(default_factory=dict)
    """The gradient scaler's state; empty without."""


def save_state(folder: Path, state: TrainState) -> None:
    """Write `state` into `folder`, then remove older ones; a kill at any moment leaves a sound one.

    Raises `WorkspaceError` when the disk refuses.
    """
    target = folder / f"step-{state.step:06d}"
    fresh = folder / f".{target.name}.tmp"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        try:
            _write(fresh, state)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)  # it may have filled the disk
            raise
        if target.exists():
            # kept until the new state has its name: before that there is no other one
            replaced = target.with_name(f"{target.name}-replaced")
            shutil.rmtree(replaced, ignore_errors=True)
            os.replace(target, replaced)
        os.replace(fresh, target)
        flush(folder)
    for path in [*_saved(folder), *folder.glob(HALF_WRITTEN)]:
        if path != target:
            shutil.rmtree(path, ignore_errors=True)


def load_state(folder: Path, *, tidy: bool = False) -> tuple[TrainState | None, list[str]]:
    """The newest sound state in `folder`, if any, and a note on each newer one passed over.

    With `tidy` what a kill left beside it is removed: older states, and half-written ones.
    """
    notes: list[str] = []
    saved = _saved(folder)
    for n, path in enumerate(saved, start=1):
        try:
            state = _read(path)
            for leftover in [*saved[n:], *folder.glob(HALF_WRITTEN)] if tidy else ():
                shutil.rmtree(leftover, ignore_errors=True)
            return state, notes
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            notes.append(f"{path}: a damaged training state was skipped ({reason}).")
    return None, notes


def differences(
    saved: Mapping[str, Any], now: Mapping[str, Any], free: set[str] | frozenset[str] = frozenset()
) -> list[str]:
    """A line for each key whose value is not the same, those in `free` left out.

    `learning_rate: the state has 0.0001, now 5e-05`. Tuples equal lists, as in JSON.
    """
    was, is_now = (
        {key: json.dumps(value, sort_keys=True) for key, value in values.items()}
        for values in (saved, now)
    )
    return [
        f"{key}: the state has {was.get(key, 'nothing')}, now {is_now.get(key, 'nothing')}"
        for key in {**was, **is_now}
        if key not in free and was.get(key) != is_now.get(key)
    ]


def _saved(folder: Path) -> list[Path]:
    """The states in `folder` by their names alone, newest first; a replaced one comes last."""
    states = [p for p in folder.glob("step-*") if p.name.split("-")[1].isdecimal()]
    return sorted(states, key=lambda p: (-int(p.name.split("-")[1]), p.name))


def _write(folder: Path, state: TrainState) -> None:
    """Fill `folder` with files, which are on the disk when this returns."""
    files = {}
    for name in TENSORS:
        if name == "reference" and not state.reference:
            continue
        path = folder / f"{name}.safetensors"
        save_file({key: gather(t) for key, t in getattr(state, name).items()}, path)
        files[path.name] = hash_file(path)
    plain = {f.name: getattr(state, f.name) for f in fields(state) if f.name not in TENSORS}
    content = {"format": FORMAT, "files": files, "state": plain}
    path = folder / "state.json"
    path.write_text(json.dumps({**content, "sha256": _checksum(content)}), encoding="utf-8")
    plain_modes(folder)
    flush_tree(folder)


def _read(folder: Path) -> TrainState:
    """One state. Raises `ValueError` and the like when anything is not as it was written."""
    path = folder / "state.json"
    content = read_json(read_file(path, MAX_LISTS), path.name, dict, max_bytes=MAX_LISTS)
    if content.pop("sha256") != _checksum(content):
        raise ValueError("state.json has a wrong checksum")
    if content["format"] != FORMAT:
        raise ValueError(
            f"format {content['format']}; this version of invdpo reads format {FORMAT}"
        )
    for name, digest in content["files"].items():
        if hash_file(folder / name) != digest:
            raise ValueError(f"{name} has a wrong checksum")
    tensors: Any = {
        name: load_file(folder / f"{name}.safetensors")
        for name in TENSORS
        if f"{name}.safetensors" in content["files"]
    }
    return TrainState(**content["state"], **tensors)


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
