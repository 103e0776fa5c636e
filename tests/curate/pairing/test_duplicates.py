"""Near-duplicates by perceptual hash: the same groups as comparing all with all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from invdpo.curate.images import perceptual_hash
from invdpo.curate.pairing import duplicates
from invdpo.curate.pairing.duplicates import near_duplicates
from invdpo.schemas import ConfigError, DataError


def groups_by_flooding(hashes: list[str | None], distance: int, within: list[int]) -> list[int]:
    """Groups by comparing all with all and flooding."""
    groups = [-1] * len(hashes)
    for start in range(len(hashes)):
        if groups[start] >= 0:
            continue
        number = max(groups) + 1
        waiting = [start]
        while waiting:
            n = waiting.pop()
            groups[n] = number
            waiting += [
                m
                for m, second in enumerate(hashes)
                if groups[m] < 0
                and within[m] == within[n]
                and bits_apart(hashes[n], second) <= distance
            ]
    return groups


def bits_apart(first: str | None, second: str | None) -> int:
    return 99 if first is None or second is None else (int(first, 16) ^ int(second, 16)).bit_count()


FEW = st.sets(st.integers(0, 63), max_size=4).map(lambda bits: sum(2**bit for bit in bits))
WORDS = st.integers(0, 2**64 - 1) | st.integers(0, 255) | FEW


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.none() | WORDS, st.integers(0, 2)), max_size=24),
    st.integers(0, 12) | st.just(63),
)
def test_same_groups_as_comparing_all(rows: list[tuple[int | None, int]], distance: int) -> None:
    hashes = [None if word is None else f"{word:016x}" for word, _ in rows]
    keys = [key for _, key in rows]
    assert near_duplicates(hashes, distance, keys).tolist() == groups_by_flooding(
        hashes, distance, keys
    )
    everywhere = groups_by_flooding(hashes, distance, [0] * len(rows))
    assert near_duplicates(hashes, distance).tolist() == everywhere


def test_groups_merge_when_links_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "BUFFER", 10)
    rng = np.random.default_rng(0)
    hashes: list[str | None] = [f"{n:016x}" for n in rng.integers(0, 2**12, 300)]
    assert near_duplicates(hashes, 1).tolist() == groups_by_flooding(hashes, 1, [0] * 300)


def test_pictures_with_small_changes_are_found_among_many() -> None:
    rng = np.random.default_rng(0)
    coarse = [Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)) for _ in range(40)]
    pictures = [np.asarray(i.resize((64, 64), Image.Resampling.BICUBIC)) for i in coarse]
    noisy = [np.clip(p + rng.integers(-3, 4, p.shape), 0, 255).astype(np.uint8) for p in pictures]
    groups = near_duplicates([perceptual_hash(p) for p in [*pictures, *noisy]], 6)
    assert groups.tolist() == [*range(40), *range(40)]


@pytest.mark.parametrize("text", ["no hash", "", "1" * 17, "-1"])
def test_what_is_no_hash_is_named(text: str) -> None:
    with pytest.raises(DataError, match=r"phash: found .*hexadecimal"):
        near_duplicates(["0" * 16, text], 2)


@pytest.mark.parametrize("distance", [-1, 64])
def test_distances_are_of_64_bits(distance: int) -> None:
    with pytest.raises(ConfigError, match=f"found {distance}; allowed are 0 to 63"):
        near_duplicates([], distance)
