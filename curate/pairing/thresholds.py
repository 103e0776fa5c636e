"""What a proposed pair must keep to: each threshold with the reason it gives for a drop.

m pairs of n candidates. Differences by a ranked scorer are on the scale of the normalisation and
turned so that higher is better; `hard_apart` is on the scorer's own scale.


MERGED: Proposed pairs through thresholds, block by block, and how far each prompt's pairs came.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from invdpo.curate.pairing.duplicates import near_duplicates
from invdpo.curate.pairing.pairs import Pairs, concat_pairs
from invdpo.curate.pairing.pool import Floats, Ints, Pool
from invdpo.curate.pairing.ranking import TOLERANCE, Ranking, normalise
from invdpo.curate.pairing.reasons import Bools
from invdpo.schemas.config.pair import PairConfig

ALIKE = "best and worst look and score the same"

DUPLICATES = "near-duplicates of each other"

MARGIN = "margin below min_margin"


NEAR = 0.01
"""Raw scores this share of their size apart, or less, do not tell two look-alikes apart."""


class Threshold(NamedTuple):
    """One test of pairs."""

    option: str | None
    """The option that loosens it; None for what can't be turned off."""
    reason: str
    fails: Callable[[Pairs], Bools]
    """Pairs (m) that it drops, m booleans."""


class ThresholdInput(NamedTuple):
    """What thresholds look at."""

    pool: Pool
    ranking: Ranking
    prompts: int
    lower_is_better: Collection[str]
    config: PairConfig

    def lead(self, name: str) -> Callable[[Pairs], Floats]:
        """By how much the chosen leads by one scorer; of one not ranked on the same scale."""
        scores = self.ranking.each.get(name)
        if scores is None:
            raw, kind = self.pool.raw[name], self.config.normalisation
            scores = self.sign(name) * normalise(kind, raw, self.pool.prompt, self.prompts)
        return lambda pairs: scores[pairs.chosen] - scores[pairs.rejected]

    def sign(self, name: str) -> int:
        """-1 for a scorer whose lower scores are better."""
        return -1 if name in self.lower_is_better else 1


def thresholds(judge: ThresholdInput) -> Iterator[Threshold]:
    """All that apply, in the order in which they are tried."""
    config = judge.config
    yield Threshold(None, ALIKE, _alike(judge))
    if config.duplicates == "pair":
        yield Threshold("duplicates", DUPLICATES, _duplicates(judge))
    yield Threshold("min_margin", MARGIN, lambda pairs: pairs.margin < config.min_margin)
    for name, least in config.margins.items():
        yield Threshold(f"margins.{name}", f"{name} margin below {least:g}", _short(judge, name))
    yield from _consensus(judge)
    if config.policy == "hard":
        yield from _hard(judge)


def _short(judge: ThresholdInput, name: str) -> Callable[[Pairs], Bools]:
    """Leads below the margin, and those not known."""
    lead, least = judge.lead(name), judge.config.margins[name]
    return lambda pairs: ~(lead(pairs) >= least)


def _consensus(judge: ThresholdInput) -> Iterator[Threshold]:
    config, names = judge.config, list(judge.ranking.weights)
    leads = [judge.lead(name) for name in names]
    if config.consensus is not None:
        least = config.consensus
        reason = f"fewer than {least} scorers prefer the chosen"
        yield Threshold(
            "consensus",
            reason,
            lambda pairs: np.sum([lead(pairs) > TOLERANCE for lead in leads], axis=0) < least,
        )
    if config.max_loss is not None:
        most = config.max_loss + TOLERANCE
        reason = f"a scorer prefers the rejected by more than {config.max_loss:g}"
        yield Threshold(
            "max_loss",
            reason,
            lambda pairs: np.min([lead(pairs) for lead in leads], axis=0) < -most,
        )


def _hard(judge: ThresholdInput) -> Iterator[Threshold]:
    """Near in quality, which is what the other ranked scorers say together, and apart in one."""
    config, name = judge.config, judge.config.hard_by
    apart, quality = judge.sign(name) * judge.pool.raw[name], judge.ranking.without(name)
    yield Threshold(
        "hard_apart",
        f"less than {config.hard_apart:g} apart by {name}",
        lambda pairs: apart[pairs.chosen] - apart[pairs.rejected] < config.hard_apart - TOLERANCE,
    )
    yield Threshold(
        "hard_near",
        f"more than {config.hard_near:g} apart by the other scorers",
        lambda pairs: (
            np.abs(quality[pairs.chosen] - quality[pairs.rejected]) > config.hard_near + TOLERANCE
        ),
    )


def _duplicates(judge: ThresholdInput) -> Callable[[Pairs], Bools]:
    pool, distance = judge.pool, judge.config.duplicate_distance
    group = near_duplicates(pool.look.tolist(), distance, pool.prompt.tolist())
    return lambda pairs: group[pairs.chosen] == group[pairs.rejected]


def _alike(judge: ThresholdInput) -> Callable[[Pairs], Bools]:
    """Pairs that can't be told apart.

    A perceptual hash is blind to colour, so the raw scores must agree, too.
    """
    look = _numbered(judge.pool)
    used = [raw for name, raw in judge.pool.raw.items() if name != judge.config.held_out]

    def fails(pairs: Pairs) -> Bools:
        one, other = look[pairs.chosen], look[pairs.rejected]
        same: Bools = (one == other) & (one >= 0)
        rows = np.flatnonzero(same)
        for raw in used:
            a, b = raw[pairs.chosen[rows]], raw[pairs.rejected[rows]]
            near = np.abs(a - b) <= NEAR * np.maximum(np.abs(a), np.abs(b))
            same[rows] &= near | np.isnan(a - b)
        return same

    return fails


def _numbered(pool: Pool) -> Ints:
    """A number for each perceptual hash, n; -1 where there is none."""
    import pyarrow as pa

    codes = pa.array(pool.look, pa.string()).dictionary_encode().indices
    return np.asarray(codes.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


Mark = Callable[[Pairs], tuple[Pairs, Bools]]
"""Applies what people decided: the pairs with some turned and pinned, and which to leave out."""


class ThresholdResult(NamedTuple):
    """Which proposed pairs are left, and what became of the others."""

    pairs: Pairs
    proposed: int
    dropped: list[tuple[str, int]]
    """Every reason in the order of trying, with the pairs it dropped."""
    furthest: Ints
    """Of each prompt the place in `dropped` of the last reason any of its pairs came to, p; -1
    where the policy proposed none."""


REVIEW = "dropped in review"


def apply_thresholds(
    blocks: Iterable[Pairs], tests: Sequence[Threshold], prompts: int, mark: Mark
) -> ThresholdResult:
    """Drop the pairs that fail a test, for the first that they fail; pinned ones pass all."""
    kept: list[Pairs] = []
    reasons = [*(test.reason for test in tests), REVIEW]
    counts, furthest, proposed = np.zeros(len(reasons), dtype=np.int64), np.full(prompts, -1), 0
    for block in blocks:
        proposed += len(block.prompt)
        first = _first_failed(block, tests)
        pairs, out = mark(block)
        first[pairs.pinned] = len(reasons)
        first[out] = len(reasons) - 1
        np.maximum.at(furthest, pairs.prompt, np.minimum(first, len(reasons) - 1))
        counts += np.bincount(first, minlength=len(reasons) + 1)[: len(reasons)]
        kept.append(pairs.take(first == len(reasons)))
    dropped = [(name, int(n)) for name, n in zip(reasons, counts, strict=True)]
    return ThresholdResult(concat_pairs(kept), proposed, dropped, furthest)


def _first_failed(pairs: Pairs, tests: Sequence[Threshold]) -> Ints:
    """Place of the first test that each pair fails, m; one more than there are reasons if none."""
    first = np.full(len(pairs.prompt), len(tests) + 1, dtype=np.int64)
    left = np.arange(len(first))
    for place, test in enumerate(tests):
        failed = test.fails(pairs.take(left))
        first[left[failed]] = place
        left = left[~failed]
    return first
