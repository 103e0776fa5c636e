"""Proposed pairs through thresholds, block by block, and how far each prompt's pairs came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from invdpo.curate.pairing.pairs import Pairs, joined
from invdpo.curate.pairing.pool import Ints
from invdpo.curate.pairing.sieve import Bools
from invdpo.curate.pairing.thresholds import Threshold

Mark = Callable[[Pairs], tuple[Pairs, Bools]]
"""Applies what people decided: the pairs with some turned and pinned, and which to leave out."""


class Sifted(NamedTuple):
    """Which proposed pairs are left, and what became of the others."""

    pairs: Pairs
    proposed: int
    dropped: list[tuple[str, int]]
    """Every reason in the order of trying, with the pairs it dropped."""
    furthest: Ints
    """Of each prompt the place in `dropped` of the last reason any of its pairs came to, p; -1
    where the policy proposed none."""


REVIEW = "dropped in review"


def sift(blocks: Iterable[Pairs], tests: Sequence[Threshold], prompts: int, mark: Mark) -> Sifted:
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
    return Sifted(joined(kept), proposed, dropped, furthest)


def _first_failed(pairs: Pairs, tests: Sequence[Threshold]) -> Ints:
    """Place of the first test that each pair fails, m; one more than there are reasons if none."""
    first = np.full(len(pairs.prompt), len(tests) + 1, dtype=np.int64)
    left = np.arange(len(first))
    for place, test in enumerate(tests):
        failed = test.fails(pairs.take(left))
        first[left[failed]] = place
        left = left[~failed]
    return first
