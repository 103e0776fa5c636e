"""What each threshold costs: the cut again with it turned off, and why a target is missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from invdpo.curate.pairing.selection import NONE, Selection
from invdpo.curate.pairing.target import Filled
from invdpo.schemas.config.pair import PairConfig

Again = Callable[[PairConfig], Selection]
"""The same cut by another configuration."""
ANY = 1e300
"""A distance that nothing reaches."""


def loosened(config: PairConfig) -> Iterator[tuple[str, PairConfig]]:
    """The configuration with each threshold that is set turned off in turn, by its name."""
    plain: dict[str, Any] = {
        "min_margin": 0.0,
        "consensus": None,
        "max_loss": None,
        "duplicates": "keep",
        "max_per_prompt": None,
    }
    plain |= {} if config.target_images else {"distinct": False}
    plain |= {"hard_apart": 0.0, "hard_near": ANY} if config.policy == "hard" else {}
    for name, off in plain.items():
        if getattr(config, name) != off:
            yield name, config.model_copy(update={name: off})
    for name in ("margins", "floors", "limits"):
        stated = getattr(config, name)
        for scorer in stated:
            rest = {key: value for key, value in stated.items() if key != scorer}
            yield f"{name}.{scorer}", config.model_copy(update={name: rest})


def costs(config: PairConfig, found: Selection, filled: Filled, again: Again) -> dict[str, int]:
    """Threshold -> pairs that turning it off would add; the most costly first."""
    size = len(found.pairs.prompt)
    more = {name: len(again(loose).pairs.prompt) - size for name, loose in loosened(config)}
    more |= {"shares": size - filled.possible} if config.shares else {}
    return dict(sorted(more.items(), key=lambda entry: (-entry[1], entry[0])))


def shortfall(
    config: PairConfig, found: Selection, filled: Filled, cost: Mapping[str, int], again: Again
) -> str:
    """Why there are fewer pairs than asked for, in a few sentences a person can act on."""
    size, asked = len(found.pairs.prompt), config.wanted
    lost = {name: n for name, n in found.prompts.counts().items() if name != NONE}
    listed = ", ".join(f"{name}: {n}" for name, n in sorted(lost.items(), key=lambda c: -c[1]))
    text = f"{asked} pairs were asked for, {size} were found" if asked else f"{size} pairs found"
    text += ", but not in the asked shares." if config.shares and size >= (asked or 0) else "."
    if filled.lacking:
        short = (f"{key} {want} wanted, {has} there" for key, (want, has) in filled.lacking.items())
        text += f" Strata that can't be filled: {'; '.join(short)}."
    elif config.shares:
        text += " The shares of several kinds can't be met together."
    text += f" Prompts lost: {listed}." if listed else " Every prompt gave one."
    if gains := ", ".join(f"{name} {n}" for name, n in cost.items() if n > 0):
        text += f" Pairs that each threshold costs: {gains}."
    if config.shares:
        return f"{text} In these shares there could be {filled.possible} pairs."
    return f"{text} {_way_out(config, size, cost, again)}"


def _way_out(config: PairConfig, size: int, cost: Mapping[str, int], again: Again) -> str:
    """The `min_margin` that would do, if one would, or what else would."""
    asked = config.wanted or 0
    loose = again(config.model_copy(update={"min_margin": 0.0}))
    margins = np.sort(loose.pairs.margin)
    if len(margins) >= asked:
        enough = np.floor(margins[-asked] * 1000) / 1000
        return f"A min_margin of {enough:g} would give them."
    text = f"Even without a min_margin there would be {max(size, len(margins))}"
    if enough_by := [name for name, n in cost.items() if size + n >= asked]:
        return f"{text}: loosen {' or '.join(enough_by)}, or add prompts."
    return f"{text}: add prompts."
