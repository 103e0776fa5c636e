"""Options that may change from one round to the next, and the record of what did.

What makes the models comparable never changes: the base model, how images are judged, and the
prompts, seeds and sampling of the validation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from invdpo.curate.storage.parts import NOTHING, changed_values
from invdpo.rounds.record import Record
from invdpo.rounds.round_plan import RoundPlan
from invdpo.schemas import WorkspaceError

FREE = (
    "prompts.num_prompts",
    "prompts.min_objects",
    "generate.num_candidates",
    "pair.",
    "train.",
    "improve.reference",
    "improve.replay_rounds",
    "improve.train_processes",
)
"""Options, and sections, that decide on the pairs and the training of one round alone."""
FIXED = ("pair.weights", "pair.held_out", "train.tuning", "train.lora_rank", "train.lora_targets")
"""What all rounds share of these sections: by what they are compared, and what is trained on."""
DEFAULT = "default"
"""What an option has that is not recorded, since it was added later and left at that."""
WITH_SCALES = "generate.guidance_scale"
"""Free where the validation has guidance scales of its own."""


def accept_changes(
    plan: RoundPlan, record: Record, decisive: Mapping[str, Any], *, allowed: bool
) -> Record:
    """The record with the options that hold from the next round on.

    Raises `WorkspaceError` for changes that were not `allowed`, that would make the models
    incomparable, or that come when the next round has begun.
    """
    changed = changed_values(dict(record.config), dict(decisive))
    if not changed:
        return record
    fixed = [key for key in changed if not _is_free(key, plan)]
    shown = [f"{k}: {old} so far, {new} asked for" for k, (old, new) in changed.items()]
    lines = "\n  ".join(shown)
    if fixed or not allowed:
        raise WorkspaceError(
            f"{plan.root}: its rounds were made with another configuration.\n  {lines}\n"
            f"{_way_out(fixed, allowed=allowed)}"
        )
    number = len(record.results)
    training_alone = all(key.startswith("train.") for key in changed)
    if plan.folder(number).exists() and not (training_alone and not plan.tuned(number).exists()):
        raise WorkspaceError(
            f"{plan.folder(number)}: round {number} has begun with other options.\n  {lines}\n"
            "Finish it with those, or remove its folder, and give the new ones then."
        )
    before = record.changes.get(str(number), {})
    merged = {k: (before.get(k, (old, new))[0], new) for k, (old, new) in changed.items()}
    kept = {k: pair for k, pair in {**before, **merged}.items() if pair[0] != pair[1]}
    changes = {**record.changes, str(number): kept}
    return replace(record, config=decisive, changes={n: c for n, c in changes.items() if c})


def changes_of(record: Record, number: int) -> list[str]:
    """The options that changed with a round, a line each."""
    changes = record.changes.get(str(number), {})
    shown = {key: [DEFAULT if v == NOTHING else v for v in pair] for key, pair in changes.items()}
    return [f"{key}: {old} → {new}" for key, (old, new) in shown.items()]


def _is_free(key: str, plan: RoundPlan) -> bool:
    if key == WITH_SCALES:
        return bool(plan.config.improve.validation_guidance_scales)
    return key.startswith(FREE) and not key.startswith(FIXED)


def _way_out(fixed: Sequence[str], *, allowed: bool) -> str:
    if not fixed:
        return (
            "Give the same options, or --change-options to go on with these from the next round "
            "on, or use another folder."
        )
    if not allowed:
        return "Give the same options, or use another folder."
    return (
        f"All rounds share {', '.join(fixed)}, or they can't be compared. Give the same for these, "
        "or use another folder."
    )
