"""Continuing a training that was stopped, and refusing to continue another one's state."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from invdpo.schemas.config.train import TrainConfig
from invdpo.schemas.errors import WorkspaceError
from invdpo.schemas.ids import content_id
from invdpo.schemas.io.files import write_atomically
from invdpo.schemas.io.model_folder import TRAINING_REPORT
from invdpo.schemas.io.text import count_noun
from invdpo.train.checkpoint.metrics_file import read_rows
from invdpo.train.checkpoint.state import TrainState, differences, load_state
from invdpo.train.data import Pair

STATE = "state"
"""Folder of the state inside a training's output."""
IMAGES = "pictures"
"""Folder of the validation images."""

IN_IDENTITY = frozenset(
    {"model", "revision", "start_from", "batch_size", "gradient_accumulation_steps"}
)
"""Options whose meaning `identity_of` holds: which model, and the number of pairs per step."""


def identity_of(
    fingerprint: str,
    precision: str,
    splits: dict[str, list[Pair]],
    count: int,
    *,
    margins: bool = False,
) -> dict[str, Any]:
    """What must stay the same beside the options; `count` is the number of pairs per step.

    `margins` says whether those of the pairs decide the loss.
    """
    pairs = {split: content_id(*(p.pair_id for p in members)) for split, members in splits.items()}
    identity = {"model": fingerprint, "precision": precision, "pairs": pairs, "pairs a step": count}
    if any(any(pair.boxes) for members in splits.values() for pair in members):
        identity["boxes"] = {s: content_id(*(p.boxes for p in m)) for s, m in splits.items()}
    if margins:
        identity["margins"] = {s: content_id(*(p.margin for p in m)) for s, m in splits.items()}
    return identity


def discard_state(output: Path) -> None:
    """Remove the state, so that training starts again."""
    shutil.rmtree(output / STATE, ignore_errors=True)


def find_state(
    output: Path, config: TrainConfig, identity: dict[str, Any], *, tidy: bool = False
) -> tuple[TrainState | None, list[str]]:
    """The state to continue from, if there is one, and notes for the user; `tidy` as `load_state`.

    Raises `WorkspaceError` when it belongs to another training.
    """
    state, notes = load_state(output / STATE, tidy=tidy)
    if state is None:
        return None, notes
    free = IN_IDENTITY | ({"max_steps"} if config.lr_scheduler == "constant" else set())
    if state.step > config.max_steps:
        free -= {"max_steps"}
    changed = [
        *differences(state.identity, identity),
        *differences(state.config, config.fingerprint(), free),
    ]
    if changed:
        listed = "\n  ".join(changed)
        raise WorkspaceError(
            f"{output}: holds a training of another kind, {count_noun(state.step, 'step')} long."
            f"\n  {listed}\nGive another --output, give the options it was made with, or delete it "
            "with --restart."
        )
    return state, notes


def forget_after(output: Path, step: int) -> dict[str, float]:
    """Remove what a killed run wrote after the state that is used: metrics and kept weights.

    At the start also the images and the report of a training that is thrown away, which nothing
    may take for this one's. Returns the metrics of `step` itself; none at the start.
    """
    if not step:
        shutil.rmtree(output / IMAGES, ignore_errors=True)
        (output / TRAINING_REPORT).unlink(missing_ok=True)
    path = output / "metrics.jsonl"
    rows = read_rows(path) if step and path.is_file() else []
    kept = [row for row in rows if row["step"] <= step]
    write_atomically(path, "".join(f"{json.dumps(row)}\n" for row in kept).encode())
    for folder in (output / "checkpoints").glob("step-*"):
        if int(folder.name.removeprefix("step-")) > step:
            shutil.rmtree(folder, ignore_errors=True)
    return kept[-1] if kept else {}
