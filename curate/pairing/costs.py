"""What each threshold costs: the pairs without it, and why a target is missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from invdpo.curate.pairing.selection import EQUAL, NONE, NOTHING, ONE, UNUSABLE, Selection
from invdpo.curate.pairing.target import TargetResult
from invdpo.schemas.config.pair import PairConfig
from invdpo.schemas.io.text import count_noun

Select = Callable[[PairConfig], Selection]
"""Selects pairs from the same tables by another configuration."""
REMEDIES = {
    NOTHING: "choose another --policy, or generate with the models that this one compares",
    EQUAL: "rank by scorers that distinguish them (--weight), or generate more candidates",
    UNUSABLE: "rank by scorers that can score these images and prompts (--weight)",
    ONE: "generate more candidates, or rank by scorers that can score more of them (--weight)",
}
"""Why prompts gave no pair -> what helps where none did, and more prompts would not."""
NO_LIMIT = 1e300
"""A distance that nothing reaches."""


def without_each_threshold(config: PairConfig) -> Iterator[tuple[str, PairConfig]]:
    """The configuration with each threshold that is set turned off in turn, by its name."""
    off: dict[str, Any] = {
        "min_margin": 0.0,
        "consensus": None,
        "max_loss": None,
        "duplicates": "keep",
        "max_per_prompt": None,
    }
    off |= {} if config.target_images else {"distinct": False}
    off |= {"hard_apart": 0.0, "hard_near": NO_LIMIT} if config.policy == "hard" else {}
    for name, value in off.items():
        if getattr(config, name) != value:
            yield name, config.model_copy(update={name: value})
    for name in ("margins", "floors", "limits"):
        by_scorer = getattr(config, name)
        for scorer in by_scorer:
            rest = {key: value for key, value in by_scorer.items() if key != scorer}
            yield f"{name}.{scorer}", config.model_copy(update={name: rest})


def costs(
    config: PairConfig, selection: Selection, target: TargetResult, select: Select
) -> dict[str, int]:
    """Threshold -> pairs that turning it off would add; the most costly first."""
    size = len(selection.pairs.prompt)
    more = {
        name: len(select(loose).pairs.prompt) - size
        for name, loose in without_each_threshold(config)
    }
    more |= {"shares": size - target.possible} if config.shares else {}
    return dict(sorted(more.items(), key=lambda entry: (-entry[1], entry[0])))


def shortfall(
    config: PairConfig,
    selection: Selection,
    target: TargetResult,
    cost: Mapping[str, int],
    select: Select,
) -> str:
    """Why there are fewer pairs than asked for, in a few sentences a person can act on."""
    size, wanted = len(selection.pairs.prompt), config.wanted
    lost = {n: c for n, c in selection.prompts.counts().items() if n != NONE or not size}
    listed, left_out = _listed(lost), "" if size else _listed(dict(selection.dropped_candidates))
    text = f"{count_noun(size, 'pair')} found" if size else "No pair was found"
    text = f"{wanted} pairs were requested, {size} were found" if wanted else text
    text += ", but not in the requested shares." if config.shares and size >= (wanted or 0) else "."
    if target.unfilled:
        short = (f"{key} {n} wanted, {has} there" for key, (n, has) in target.unfilled.items())
        text += f" Strata that can't be filled: {'; '.join(short)}."
    elif config.shares:
        text += " The shares of several kinds can't be met at the same time."
    text += f" Prompts lost: {listed}." if listed else " Every prompt gave one."
    text += f" Candidates left out: {left_out}." if left_out else ""
    if gains := ", ".join(f"{name} {n}" for name, n in cost.items() if n > 0):
        text += f" Pairs lost to each threshold: {gains}."
    if config.shares:
        return f"{text} In these shares there could be {count_noun(target.possible, 'pair')}."
    return f"{text} {_advice(config, size, cost, select)}"


def _listed(counts: Mapping[str, int]) -> str:
    """The reasons, the most frequent first."""
    return ", ".join(f"{name}: {n}" for name, n in sorted(counts.items(), key=lambda c: -c[1]))


def _advice(config: PairConfig, size: int, cost: Mapping[str, int], select: Select) -> str:
    """The `min_margin` that would give enough pairs, if one would, or what else would."""
    wanted = config.wanted or 1
    loose = select(config.model_copy(update={"min_margin": 0.0}))
    margins = np.sort(loose.pairs.margin)
    if config.wanted is None and len(margins):
        text = f"The largest margin is {margins[-1]:.3g}"
        return f"{text}; with --min-margin 0 there would be {count_noun(len(margins), 'pair')}."
    if len(margins) >= wanted:
        enough = np.floor(margins[-wanted] * 1000) / 1000
        return f"A min_margin of {enough:g} would give them."
    text = f"Even without a min_margin there would be {max(size, len(margins))}"
    if sufficient := [name for name, n in cost.items() if size + n >= wanted]:
        return f"{text}: loosen {' or '.join(sufficient)}, or add prompts."
    lost = {name: n for name, n in loose.prompts.counts().items() if name in REMEDIES}
    if not len(margins) and lost:
        return f"{text}: {REMEDIES[max(lost, key=lambda name: lost[name])]}."
    return f"{text}: add prompts."
