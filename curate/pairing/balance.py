"""Prompts and pairs by stratum."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from invdpo.curate.pairing.pool import Ints
from invdpo.curate.pairing.sieve import Bools
from invdpo.schemas.pairing import STRATA


def balance(
    strata: Sequence[Mapping[str, str]], paired: Ints, shares: Mapping[str, float]
) -> dict[str, Any]:
    """Kind -> name -> prompts, pairs, and the share that was asked for, None where none was.

    `strata` of each of p prompts; `paired` holds the prompt of each of m pairs.
    """
    found = {}
    for kind, names in STRATA.items():
        prompts = Counter(one[kind] for one in strata)
        pairs = Counter(strata[row][kind] for row in paired.tolist())
        stated = {name: shares[f"{kind}.{name}"] for name in names if f"{kind}.{name}" in shares}
        found[kind] = {
            name: {"prompts": prompts[name], "pairs": pairs[name], "wanted": stated.get(name)}
            for name in names
            if prompts[name] or name in stated
        }
    return found


def by_objects(graphs: pa.ChunkedArray, paired: Bools) -> dict[str, dict[str, int]]:
    """Prompts, and those with a pair, by the number of objects that the intended graph names."""
    texts = graphs.combine_chunks().dictionary_encode()
    read = [*map(_objects, texts.dictionary.to_pylist()), _objects(None)]
    numbers = [read[n] for n in texts.indices.fill_null(len(read) - 1).to_pylist()]
    total, chosen = Counter(numbers), Counter(n for n, p in zip(numbers, paired, strict=True) if p)
    return {name: {"prompts": total[name], "pairs": chosen[name]} for name in sorted(total)}


def _objects(graph: str | None) -> str:
    if graph is None:
        return "unknown"
    try:
        return str(len(json.loads(graph).get("items", ())))
    except (ValueError, AttributeError):
        return "unknown"
