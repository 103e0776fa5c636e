"""What a proposed pair must satisfy: each threshold, with the reason it gives for a drop.

m pairs of n candidates, which come in blocks. Differences by a ranked scorer are on the scale of
the normalisation, with the sign that makes higher better; `hard_apart` is on the scorer's own
scale. What people decided in review comes after all thresholds and overrides them.
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
from invdpo.curate.pairing.reviews import LEFT_OUT
from invdpo.schemas.config.pair import PairConfig

ALIKE = "best and worst look and score the same"
DUPLICATES = "near-duplicates of each other"
MARGIN = "margin below min_margin"

NEAR = 0.01
"""Two images that look alike are one when their raw scores differ by at most this share."""

ApplyReviews = Callable[[Pairs], tuple[Pairs, dict[str, Bools]]]
"""The pairs as people decided on them, some flipped, and which of them to leave out, by reason."""


class Threshold(NamedTuple):
    """One test of pairs."""

    option: str | None
    """The option that loosens it; None for what can't be turned off."""
    reason: str
    fails: Callable[[Pairs], Bools]
    """Which of m pairs it drops."""


class ThresholdInput(NamedTuple):
    """What thresholds look at."""

    pool: Pool
    ranking: Ranking
    prompts: int
    lower_is_better: Collection[str]
    config: PairConfig

    def lead(self, name: str) -> Callable[[Pairs], Floats]:
        """By how much the chosen leads by one scorer, ranked or not, on the common scale."""
        scores = self.ranking.scores.get(name)
        if scores is None:
            raw, kind = self.pool.raw[name], self.config.normalisation
            scores = self.sign(name) * normalise(kind, raw, self.pool.prompt, self.prompts)
        return lambda pairs: scores[pairs.chosen] - scores[pairs.rejected]

    def sign(self, name: str) -> int:
        """-1 for a scorer whose lower scores are better."""
        return -1 if name in self.lower_is_better else 1


class ThresholdResult(NamedTuple):
    """The pairs that pass, and what became of the others."""

    pairs: Pairs
    proposed: int
    dropped: list[tuple[str, int]]
    """Every reason in the order of trying, with the number of pairs it dropped."""
    furthest: Ints
    """For each prompt the index in `dropped` of the latest reason that dropped one of its pairs, p;
    -1 where the policy proposed none."""


def thresholds(inputs: ThresholdInput) -> Iterator[Threshold]:
    """All that apply, in the order in which they are tried."""
    config = inputs.config
    yield Threshold(None, ALIKE, _alike(inputs))
    if config.duplicates == "pair":
        yield Threshold("duplicates", DUPLICATES, _duplicates(inputs))
    yield Threshold("min_margin", MARGIN, lambda pairs: pairs.margin < config.min_margin)
    for name, least in config.margins.items():
        reason = f"{name} margin below {least:g}"
        yield Threshold(f"margins.{name}", reason, _margin_below(inputs, name))
    yield from _consensus(inputs)
    if config.policy == "hard":
        yield from _hard(inputs)


def _margin_below(inputs: ThresholdInput, name: str) -> Callable[[Pairs], Bools]:
    """Leads below the margin, and those that are unknown."""
    lead, least = inputs.lead(name), inputs.config.margins[name]
    return lambda pairs: ~(lead(pairs) >= least)


def _consensus(inputs: ThresholdInput) -> Iterator[Threshold]:
    config, names = inputs.config, list(inputs.ranking.weights)
    leads = [inputs.lead(name) for name in names]
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


def _hard(inputs: ThresholdInput) -> Iterator[Threshold]:
    """Near in quality, which the other ranked scorers measure together, and far apart in one."""
    config, name = inputs.config, inputs.config.hard_by
    raw, quality = inputs.sign(name) * inputs.pool.raw[name], inputs.ranking.without(name)
    yield Threshold(
        "hard_apart",
        f"less than {config.hard_apart:g} apart by {name}",
        lambda pairs: raw[pairs.chosen] - raw[pairs.rejected] < config.hard_apart - TOLERANCE,
    )
    yield Threshold(
        "hard_near",
        f"more than {config.hard_near:g} apart by the other scorers",
        lambda pairs: (
            np.abs(quality[pairs.chosen] - quality[pairs.rejected]) > config.hard_near + TOLERANCE
        ),
    )


def _duplicates(inputs: ThresholdInput) -> Callable[[Pairs], Bools]:
    pool, distance = inputs.pool, inputs.config.duplicate_distance
    group = near_duplicates(pool.phash.tolist(), distance, pool.prompt.tolist())
    return lambda pairs: group[pairs.chosen] == group[pairs.rejected]


def _alike(inputs: ThresholdInput) -> Callable[[Pairs], Bools]:
    """Pairs of two images that can't be distinguished.

    A perceptual hash doesn't see colour, so the raw scores must agree as well.
    """
    phash = _numbered_hashes(inputs.pool)
    used = [raw for name, raw in inputs.pool.raw.items() if name != inputs.config.held_out]

    def fails(pairs: Pairs) -> Bools:
        chosen, rejected = phash[pairs.chosen], phash[pairs.rejected]
        same: Bools = (chosen == rejected) & (chosen >= 0)
        rows = np.flatnonzero(same)
        for raw in used:
            a, b = raw[pairs.chosen[rows]], raw[pairs.rejected[rows]]
            near = np.abs(a - b) <= NEAR * np.maximum(np.abs(a), np.abs(b))
            same[rows] &= near | np.isnan(a - b)
        return same

    return fails


def _numbered_hashes(pool: Pool) -> Ints:
    """A number for each perceptual hash, n; -1 where there is none."""
    import pyarrow as pa

    codes = pa.array(pool.phash, pa.string()).dictionary_encode().indices
    return np.asarray(codes.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


def apply_thresholds(
    blocks: Iterable[Pairs], tests: Sequence[Threshold], prompts: int, apply_reviews: ApplyReviews
) -> ThresholdResult:
    """Drop each pair for the first test that it fails; what people kept passes all of them."""
    kept: list[Pairs] = []
    reasons = [*(test.reason for test in tests), *LEFT_OUT.values()]
    counts, furthest, proposed = np.zeros(len(reasons), dtype=np.int64), np.full(prompts, -1), 0
    for block in blocks:
        proposed += len(block.prompt)
        reason = _first_failed(block, tests, len(reasons))
        pairs, left_out = apply_reviews(block)
        reason[pairs.kept_by_review] = len(reasons)
        for name, rows in left_out.items():
            reason[rows] = reasons.index(name)
        np.maximum.at(furthest, pairs.prompt, np.minimum(reason, len(reasons) - 1))
        counts += np.bincount(reason, minlength=len(reasons) + 1)[: len(reasons)]
        kept.append(pairs.take(reason == len(reasons)))
    by_reason = [(name, int(n)) for name, n in zip(reasons, counts, strict=True)]
    return ThresholdResult(concat_pairs(kept), proposed, by_reason, furthest)


def _first_failed(pairs: Pairs, tests: Sequence[Threshold], passed: int) -> Ints:
    """Index of the first test that each pair fails, m; `passed` if it passes all."""
    first = np.full(len(pairs.prompt), passed, dtype=np.int64)
    passing = np.arange(len(first))
    for index, test in enumerate(tests):
        failed = test.fails(pairs.take(passing))
        first[passing[failed]] = index
        passing = passing[~failed]
    return first
