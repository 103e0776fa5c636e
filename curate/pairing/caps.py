"""At most so many pairs of one prompt, and no picture twice: the widest margins stay."""

from __future__ import annotations

import numpy as np

from invdpo.curate.pairing.pairs import Pairs
from invdpo.curate.pairing.pool import Ints
from invdpo.curate.pairing.sieve import Bools


def by_prompt(pairs: Pairs) -> Ints:
    """Rows by prompt, within it pinned ones first, then the widest margin, then the ids, m."""
    return np.lexsort((pairs.rejected, pairs.chosen, -pairs.margin, ~pairs.pinned, pairs.prompt))


def places(prompt: Ints) -> Ints:
    """Place of each row among those of its prompt, which must lie together, m; from 0."""
    new = np.ones(len(prompt), dtype=bool)
    new[1:] = prompt[1:] != prompt[:-1]
    start = np.flatnonzero(new)
    return np.arange(len(prompt)) - np.repeat(start, np.diff([*start, len(prompt)]))


def repeated(pairs: Pairs, candidates: int) -> Bools:
    """Pairs, ordered by `by_prompt`, with a picture that one before them uses, m.

    Greedy within each prompt; all prompts take each turn together.
    """
    used = np.zeros(candidates, dtype=bool)
    out = np.zeros(len(pairs.prompt), dtype=bool)
    place = places(pairs.prompt)
    order = np.argsort(place, kind="stable")
    for rows in np.split(order, np.cumsum(np.bincount(place))[:-1]) if len(order) else ():
        chosen, rejected = pairs.chosen[rows], pairs.rejected[rows]
        out[rows] = used[chosen] | used[rejected]
        free = ~out[rows]
        used[chosen[free]] = used[rejected[free]] = True
    return out
