"""Near-duplicates by perceptual hash: groups of images that look alike.

Two hashes that differ in at most d bits are equal in at least one of d + 1 bands of their bits, so
only hashes that share a band are compared: the time is about linear for small d. n hashes, u of
them distinct.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from invdpo.curate.pairing.pool import Ints
from invdpo.schemas import ConfigError, DataError

BITS = 64
BUFFER = 1_000_000
"""Links that are collected before they are merged into groups."""

Hashes = NDArray[np.uint64]


def near_duplicates(
    hashes: Sequence[str | None], distance: int, within: Sequence[Hashable] | None = None
) -> Ints:
    """A group number for each hash, n: equal numbers look alike; from 0, in order of appearance.

    A group is what a chain of hashes connects, each at most `distance` bits (0..63) from the next.
    With `within` (n keys, such as prompt ids) only hashes of the same key are compared. None is
    like nothing. The hash (`candidates.phash`) doesn't see colour. Raises `DataError` for a text
    that is no hash of up to 16 hexadecimal digits, `ConfigError` for a distance out of range.
    """
    if not 0 <= distance < BITS:
        raise ConfigError(f"distance: found {distance}; allowed are 0 to {BITS - 1} bits.")
    known = np.array([n for n, text in enumerate(hashes) if text is not None], dtype=np.int64)
    numbers = np.array([_parse_hash(hashes[n]) for n in known], dtype=np.uint64)
    keys: Ints = np.zeros(len(known), dtype=np.int64)
    if within is not None:
        key_numbers: dict[Hashable, int] = {}
        keys = np.array(
            [key_numbers.setdefault(within[n], len(key_numbers)) for n in known], np.int64
        )
    distinct, index = np.unique(_keyed(keys, numbers), return_inverse=True)
    groups = _groups(distinct["key"], distinct["hash"], distance)[index]
    return _number_by_appearance(known, groups, len(hashes))


def _parse_hash(text: str | None) -> int:
    try:
        return int(np.uint64(int(text or "", 16)))
    except (ValueError, OverflowError):
        expected = f"expected up to {BITS // 4} hexadecimal digits"
        raise DataError(f"phash: found {str(text)[:40]!r}; {expected}.") from None


def _keyed(keys: Ints, hashes: Hashes) -> NDArray[np.void]:
    """Key and hash side by side, so that they sort as one."""
    rows = np.empty(len(keys), dtype=[("key", np.int64), ("hash", np.uint64)])
    rows["key"], rows["hash"] = keys, hashes
    return rows


def _groups(keys: Ints, hashes: Hashes, distance: int) -> Ints:
    """A group number for each of u distinct hashes: the connected components of their links."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    size = len(hashes)
    groups: Ints = np.arange(size, dtype=np.int64)

    def merge(links: Sequence[tuple[Ints, Ints]]) -> Ints:
        first, second = (np.concatenate(side) for side in zip(*links, strict=True))
        ends = (groups[first], groups[second])
        graph = coo_array((np.ones(len(first), np.int8), ends), (size, size))
        merged = connected_components(graph, directed=False)[1]
        return np.asarray(merged, dtype=np.int64)[groups]

    buffer: list[tuple[Ints, Ints]] = []
    for first, second in _links(keys, hashes, distance):
        separate = groups[first] != groups[second]
        buffer.append((first[separate], second[separate]))
        if sum(len(ends[0]) for ends in buffer) > BUFFER:
            groups, buffer = merge(buffer), []
    return merge(buffer) if buffer else groups


def _links(keys: Ints, hashes: Hashes, distance: int) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of hashes of one key at most `distance` apart; some pairs come several times."""
    edges = np.linspace(0, BITS, distance + 2).round().astype(int)
    for low, high in pairwise(edges):
        band = (hashes >> np.uint64(low)) & np.uint64(2 ** int(high - low) - 1)
        order = np.lexsort((band, keys))
        keys_, band_, hashes_ = keys[order], band[order], hashes[order]
        first = np.arange(len(order))
        for step in range(1, len(order)):
            first = first[: np.searchsorted(first, len(order) - step)]
            # A hash that shares no band with the one `step` rows on shares none with later ones.
            second = first + step
            same = (band_[first] == band_[second]) & (keys_[first] == keys_[second])
            first = first[same]
            if not len(first):
                break
            near = np.bitwise_count(hashes_[first] ^ hashes_[first + step]) <= distance
            if near.any():
                yield order[first[near]], order[first[near] + step]


def _number_by_appearance(known: Ints, groups: Ints, size: int) -> Ints:
    """Groups numbered as they first appear; each missing hash is a group of its own."""
    labels = -1 - np.arange(size, dtype=np.int64)
    labels[known] = groups
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return np.asarray(number[inverse], dtype=np.int64)
