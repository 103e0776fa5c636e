"""All pairs that policy and thresholds leave, before any is left out for a target or for shares."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate.pairing.duplicates import near_duplicates
from invdpo.curate.pairing.pairs import Pairs, by_prompt, occurrence_numbers, repeated
from invdpo.curate.pairing.policies import POLICIES, Groups, PolicyInput, grouped
from invdpo.curate.pairing.pool import Pool, gather
from invdpo.curate.pairing.ranking import TOLERANCE, Ranking, combine
from invdpo.curate.pairing.reasons import Bools, DropReasons
from invdpo.curate.pairing.reviews import ReviewDecisions, Reviews
from invdpo.curate.pairing.thresholds import (
    REVIEW,
    ThresholdInput,
    ThresholdResult,
    apply_thresholds,
    thresholds,
)
from invdpo.schemas.config.pair import PairConfig

NONE = "no candidate"
UNUSABLE = "no usable candidate"
ONE = "one usable candidate"
EQUAL = "all candidates score the same"
FLOORS = "no candidate reaches the floors"
NOTHING = "no two candidates that the policy lets meet"
DUPLICATE = "near-duplicate of another candidate"
CAP = "more pairs than max_per_prompt"
TWICE = "a picture that another pair has"
STRADDLING = "facts of train and of validation"
ABLE = (NONE, UNUSABLE, ONE, EQUAL, FLOORS, STRADDLING)
"""Reasons why a prompt can't give a pair, whatever the policy."""

Step = tuple[str, int]
"""A reason and how many rows it dropped."""


class Tables(NamedTuple):
    """What pairs are chosen from."""

    prompts: pa.Table
    candidates: pa.Table
    scores: Mapping[str, pa.Table]
    lower_is_better: Collection[str]


class Selection(NamedTuple):
    """The pairs there are to choose from, and what every filter before dropped."""

    pool: Pool
    ranking: Ranking
    candidates: list[Step]
    prompts: DropReasons
    """Prompts without a pair, p."""
    sifted: ThresholdResult
    caps: list[Step]
    marking: ReviewDecisions
    """What people decided on proposed pairs."""
    pairs: Pairs
    """By prompt, the widest margins first."""


def choose(
    tables: Tables,
    weights: Mapping[str, float],
    config: PairConfig,
    reviews: Reviews,
    straddling: Bools,
) -> Selection:
    """Apply policy and thresholds.

    `weights` are directed and sum to 1 in absolute values; prompts that are `straddling` (p) the
    splits give no pair.
    """
    limits = config.limits
    pool, sieve = gather(tables.prompts, tables.candidates, tables.scores, weights, limits)
    lone = _one_of_each(pool, config)
    steps = [*sieve.counts().items(), (DUPLICATE, int((~lone).sum()))]
    pool = pool.take(np.flatnonzero(lone))
    size = len(tables.prompts)
    ranking = combine(pool, size, weights, config.normalisation)
    groups = grouped(pool.prompt, size, ranking.combined)
    may_win = _over_floors(pool, config.floors, tables.lower_is_better)
    prompts = _able(groups, ranking, may_win, _had_any(tables))
    prompts.drop(straddling, STRADDLING)
    may_win &= ~straddling[pool.prompt]
    field = PolicyInput(
        pool,
        ranking.combined,
        may_win,
        groups,
        tables.prompts["prompt_id"].to_pylist(),
        config.min_margin,
        config.seed,
    )
    marking = ReviewDecisions(reviews, pool)
    tests = list(thresholds(ThresholdInput(pool, ranking, size, tables.lower_is_better, config)))
    sifted = apply_thresholds(POLICIES[config.policy](field), tests, size, marking)
    pairs, caps = _capped(sifted.pairs, config, len(pool.ids))
    _unpaired(prompts, sifted)
    return Selection(
        pool, ranking, [s for s in steps if s[1]], prompts, sifted, caps, marking, pairs
    )


def _one_of_each(pool: Pool, config: PairConfig) -> Bools:
    """The first by id of near-duplicates, in each prompt or in all; all others too, n."""
    kept = np.ones(len(pool.ids), dtype=bool)
    if config.duplicates in ("prompt", "all"):
        within = pool.prompt.tolist() if config.duplicates == "prompt" else None
        group = near_duplicates(pool.look.tolist(), config.duplicate_distance, within)
        kept[:] = False
        kept[np.unique(group, return_index=True)[1]] = True
    return kept


def _over_floors(
    pool: Pool, floors: Mapping[str, float], lower_is_better: Collection[str]
) -> Bools:
    """Candidates that may be chosen, n; a missing score does not reach a floor."""
    may = np.ones(len(pool.ids), dtype=bool)
    for name, worst in floors.items():
        raw = pool.raw[name]
        may &= raw <= worst if name in lower_is_better else raw >= worst
    return may


def _had_any(tables: Tables) -> Bools:
    known = tables.candidates["prompt_id"].combine_chunks()
    return np.asarray(pc.is_in(tables.prompts["prompt_id"], value_set=known).to_numpy())


def _able(groups: Groups, ranking: Ranking, may_win: Bools, had_any: Bools) -> DropReasons:
    """Which prompts could give a pair at all; `had_any` tells those with a candidate, p."""
    sieve, there = DropReasons(len(groups.size)), groups.size > 0
    spread = np.zeros(len(groups.size))
    last = (groups.start + groups.size - 1)[there]
    best, worst = groups.order[last], groups.worst(np.flatnonzero(there))
    spread[there] = ranking.combined[best] - ranking.combined[worst]
    sieve.drop(~had_any, NONE)
    sieve.drop(groups.size == 0, UNUSABLE)
    sieve.drop(groups.size == 1, ONE)
    sieve.drop(spread <= TOLERANCE, EQUAL)
    sieve.drop(groups.last(may_win) < 0, FLOORS)
    return sieve


def _capped(pairs: Pairs, config: PairConfig, candidates: int) -> tuple[Pairs, list[Step]]:
    """In order, without what `distinct` and `max_per_prompt` leave out.

    A target in pictures wants them distinct.
    """
    pairs, steps = pairs.take(by_prompt(pairs)), []
    if config.distinct or config.target_images:
        out = repeated(pairs, candidates)
        steps.append((TWICE, int(out.sum())))
        pairs = pairs.take(~out)
    if config.max_per_prompt is not None:
        out = occurrence_numbers(pairs.prompt) >= config.max_per_prompt
        steps.append((CAP, int(out.sum())))
        pairs = pairs.take(~out)
    return pairs, steps


def _unpaired(prompts: DropReasons, sifted: ThresholdResult) -> None:
    """Say why prompts that could give a pair have none: what stopped the pair that came furthest.

    Caps leave each prompt one.
    """
    lost = np.ones(len(sifted.furthest), dtype=bool)
    lost[sifted.pairs.prompt] = False
    prompts.drop(lost & (sifted.furthest < 0), NOTHING)
    for place, (reason, _) in enumerate(sifted.dropped):
        prompts.drop(lost & (sifted.furthest == place), reason)


def pair_steps(choice: Selection) -> Iterator[Step]:
    """What every filter of pairs dropped, in order."""
    yield from (step for step in choice.sifted.dropped if step[0] != REVIEW or step[1])
    yield from choice.caps
