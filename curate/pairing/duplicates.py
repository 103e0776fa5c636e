"""Near-duplicates by perceptual hash: which of many pictures look alike, without comparing all.

Two hashes that differ in at most d bits agree on at least one of d + 1 bands, so only those that
share a band are compared: about linear for small d. n hashes, u distinct ones.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from invdpo.schemas import ConfigError, DataError

BITS = 64
BUFFER = 1_000_000
"""Links that are held before they are merged into groups."""

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]


def near_duplicates(
    hashes: Sequence[str | None], distance: int, within: Sequence[Hashable] | None = None
) -> Ints:
    """A group number for each hash, n: equal ones look alike; counted from 0 in order of arrival.

    Groups are what a chain of hashes, each at most `distance` bits (0..63) from the next, connects.
    With `within` (n keys, such as prompt ids) only hashes of the same key are compared. None is
    like nothing. The hash (`candidates.phash`) is blind to colour. Raises `DataError` for what is
    no hash of up to 16 hexadecimal digits, `ConfigError` for a distance that is none.
    """
    if not 0 <= distance < BITS:
        raise ConfigError(f"distance: found {distance}; allowed are 0 to {BITS - 1} bits.")
    known = np.array([n for n, text in enumerate(hashes) if text is not None], dtype=np.int64)
    words = np.array([_word(hashes[n]) for n in known], dtype=np.uint64)
    keys: Ints = np.zeros(len(known), dtype=np.int64)
    if within is not None:
        numbers: dict[Hashable, int] = {}
        keys = np.array([numbers.setdefault(within[n], len(numbers)) for n in known], np.int64)
    distinct, place = np.unique(_both(keys, words), return_inverse=True)
    groups = _groups(distinct["key"], distinct["word"], distance)[place]
    return _in_order(known, groups, len(hashes))


def _word(text: str | None) -> int:
    try:
        return int(np.uint64(int(text or "", 16)))
    except (ValueError, OverflowError):
        expected = f"expected up to {BITS // 4} hexadecimal digits"
        raise DataError(f"phash: found {str(text)[:40]!r}; {expected}.") from None


def _both(keys: Ints, words: Words) -> NDArray[np.void]:
    """Key and word side by side, so that they sort as one."""
    pairs = np.empty(len(keys), dtype=[("key", np.int64), ("word", np.uint64)])
    pairs["key"], pairs["word"] = keys, words
    return pairs


def _groups(keys: Ints, words: Words, distance: int) -> Ints:
    """A group number for each of u distinct hashes: the connected components of their links."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = len(words)
    groups: Ints = np.arange(size, dtype=np.int64)

    def merge(ends: Sequence[tuple[Ints, Ints]]) -> Ints:
        one, other = (np.concatenate(side) for side in zip(*ends, strict=True))
        links = coo_array((np.ones(len(one), np.int8), (groups[one], groups[other])), (size, size))
        merged = connected_components(links, directed=False)[1]
        return np.asarray(merged, dtype=np.int64)[groups]

    held: list[tuple[Ints, Ints]] = []
    for one, other in _links(keys, words, distance):
        apart = groups[one] != groups[other]
        held.append((one[apart], other[apart]))
        if sum(len(ends[0]) for ends in held) > BUFFER:
            groups, held = merge(held), []
    return merge(held) if held else groups


def _links(keys: Ints, words: Words, distance: int) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of hashes of one key at most `distance` apart; some pairs come several times."""
    edges = np.linspace(0, BITS, distance + 2).round().astype(int)
    for low, high in pairwise(edges):
        band = (words >> np.uint64(low)) & np.uint64(2 ** int(high - low) - 1)
        order = np.lexsort((band, keys))
        keys_, band_, words_ = keys[order], band[order], words[order]
        first = np.arange(len(order))
        for step in range(1, len(order)):
            first = first[: np.searchsorted(first, len(order) - step)]
            # Who shares no band with the hash `step` places on shares none with those after it.
            there = first + step
            same = (band_[first] == band_[there]) & (keys_[first] == keys_[there])
            first = first[same]
            if not len(first):
                break
            near = np.bitwise_count(words_[first] ^ words_[first + step]) <= distance
            if near.any():
                yield order[first[near]], order[first[near] + step]


def _in_order(known: Ints, groups: Ints, size: int) -> Ints:
    """Groups numbered as they first appear; each hash that is missing is a group of its own."""
    labels = -1 - np.arange(size, dtype=np.int64)
    labels[known] = groups
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[inverse], dtype=np.int64)
