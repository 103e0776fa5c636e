"""All pairs that policy and thresholds leave, before any is left out for a target or for shares."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate.pairing.duplicates import near_duplicates
from invdpo.curate.pairing.pairs import (
    Pairs,
    occurrence_numbers,
    order_within_prompts,
    reuse_a_picture,
)
from invdpo.curate.pairing.policies import POLICIES, Groups, PolicyInput, group_candidates
from invdpo.curate.pairing.pool import Pool, build_pool
from invdpo.curate.pairing.ranking import TOLERANCE, Ranking, combine
from invdpo.curate.pairing.reasons import Bools, DropReasons
from invdpo.curate.pairing.reviews import LEFT_OUT, Decision, ReviewDecisions
from invdpo.curate.pairing.thresholds import (
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
TWICE = "an image that another pair has"
STRADDLING = "facts of train and of validation"
WHATEVER_THE_POLICY = (NONE, UNUSABLE, ONE, EQUAL, FLOORS, STRADDLING)
"""Reasons why a prompt can't give a pair, whatever the policy."""

DropCount = tuple[str, int]
"""A reason and how many rows it dropped."""


class PairingTables(NamedTuple):
    """What pairs are selected from."""

    prompts: pa.Table
    candidates: pa.Table
    scores: Mapping[str, pa.Table]
    lower_is_better: Collection[str]


class Selection(NamedTuple):
    """The pairs that there are to choose from, and what every filter dropped on the way."""

    pool: Pool
    ranking: Ranking
    dropped_candidates: list[DropCount]
    prompts: DropReasons
    """Prompts without a pair, p."""
    filtered: ThresholdResult
    capped: list[DropCount]
    """Pairs that `distinct` and `max_per_prompt` dropped."""
    reviews: ReviewDecisions
    """What people decided on proposed pairs."""
    pairs: Pairs
    """By prompt, the widest margins first."""


def select_pairs(
    tables: PairingTables,
    weights: Mapping[str, float],
    config: PairConfig,
    decisions: Mapping[str, Decision],
    straddling: Bools,
) -> Selection:
    """Apply policy, thresholds and reviews.

    `weights` have the sign of their direction and sum to 1 in absolute values. `decisions` are by
    pair id. Prompts that would be in both splits, `straddling` (p), give no pair.
    """
    pool, candidates = build_pool(
        tables.prompts, tables.candidates, tables.scores, weights, config.limits
    )
    unique = _without_duplicates(pool, config)
    dropped = [*candidates.counts().items(), (DUPLICATE, int((~unique).sum()))]
    pool = pool.take(np.flatnonzero(unique))
    size = len(tables.prompts)
    ranking = combine(pool, size, weights, config.normalisation)
    groups = group_candidates(pool.prompt, size, ranking.combined)
    may_win = _reach_floors(pool, config.floors, tables.lower_is_better)
    prompts = _prompts_without_pair(groups, ranking, may_win, _have_candidates(tables))
    prompts.drop(straddling, STRADDLING)
    may_win &= ~straddling[pool.prompt]
    proposed = POLICIES[config.policy](
        PolicyInput(
            pool,
            ranking.combined,
            may_win,
            groups,
            tables.prompts["prompt_id"].to_pylist(),
            config.min_margin,
            config.seed,
        )
    )
    reviews = ReviewDecisions(decisions, pool)
    tests = list(thresholds(ThresholdInput(pool, ranking, size, tables.lower_is_better, config)))
    filtered = apply_thresholds(proposed, tests, size, reviews)
    pairs, capped = _cap(filtered.pairs, config, len(pool.ids))
    _explain_unpaired(prompts, filtered)
    dropped = [step for step in dropped if step[1]]
    return Selection(pool, ranking, dropped, prompts, filtered, capped, reviews, pairs)


def _without_duplicates(pool: Pool, config: PairConfig) -> Bools:
    """The first by id of near-duplicates, within each prompt or all prompts, and all others, n."""
    kept = np.ones(len(pool.ids), dtype=bool)
    if config.duplicates in ("prompt", "all"):
        within = pool.prompt.tolist() if config.duplicates == "prompt" else None
        group = near_duplicates(pool.phash.tolist(), config.duplicate_distance, within)
        kept[:] = False
        kept[np.unique(group, return_index=True)[1]] = True
    return kept


def _reach_floors(
    pool: Pool, floors: Mapping[str, float], lower_is_better: Collection[str]
) -> Bools:
    """Candidates that may be chosen, n; a missing score does not reach a floor."""
    may_win = np.ones(len(pool.ids), dtype=bool)
    for name, worst in floors.items():
        raw = pool.raw[name]
        may_win &= raw <= worst if name in lower_is_better else raw >= worst
    return may_win


def _have_candidates(tables: PairingTables) -> Bools:
    known = tables.candidates["prompt_id"].combine_chunks()
    return np.asarray(pc.is_in(tables.prompts["prompt_id"], value_set=known).to_numpy())


def _prompts_without_pair(
    groups: Groups, ranking: Ranking, may_win: Bools, have_candidates: Bools
) -> DropReasons:
    """Which prompts can't give a pair; `have_candidates` are those with one, usable or not, p."""
    prompts, filled = DropReasons(len(groups.size)), groups.size > 0
    spread = np.zeros(len(groups.size))
    last = (groups.start + groups.size - 1)[filled]
    best, worst = groups.order[last], groups.worst(np.flatnonzero(filled))
    spread[filled] = ranking.combined[best] - ranking.combined[worst]
    prompts.drop(~have_candidates, NONE)
    prompts.drop(groups.size == 0, UNUSABLE)
    prompts.drop(groups.size == 1, ONE)
    prompts.drop(spread <= TOLERANCE, EQUAL)
    prompts.drop(groups.best_index(may_win) < 0, FLOORS)
    return prompts


def _cap(pairs: Pairs, config: PairConfig, candidates: int) -> tuple[Pairs, list[DropCount]]:
    """In order, without what `distinct` and `max_per_prompt` leave out.

    A target in images counts distinct ones.
    """
    pairs, dropped = pairs.take(order_within_prompts(pairs)), []
    if config.distinct or config.target_images:
        out = reuse_a_picture(pairs, candidates)
        dropped.append((TWICE, int(out.sum())))
        pairs = pairs.take(~out)
    if config.max_per_prompt is not None:
        out = occurrence_numbers(pairs.prompt) >= config.max_per_prompt
        dropped.append((CAP, int(out.sum())))
        pairs = pairs.take(~out)
    return pairs, dropped


def _explain_unpaired(prompts: DropReasons, filtered: ThresholdResult) -> None:
    """Note why prompts that could give a pair have none: the reason that their last pair met.

    Caps leave each prompt one.
    """
    unpaired = np.ones(len(filtered.furthest), dtype=bool)
    unpaired[filtered.pairs.prompt] = False
    prompts.drop(unpaired & (filtered.furthest < 0), NOTHING)
    for index, (reason, _) in enumerate(filtered.dropped):
        prompts.drop(unpaired & (filtered.furthest == index), reason)


def dropped_pairs(selection: Selection) -> Iterator[DropCount]:
    """How many pairs every filter dropped, in order."""
    optional = LEFT_OUT.values()  # named only where people decided so
    yield from (step for step in selection.filtered.dropped if step[0] not in optional or step[1])
    yield from selection.capped
