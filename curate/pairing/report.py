"""The report of a pairing in JSON's types: what every filter dropped, and what the pairs are like.

Counts at every filter, how the scorers see the pairs, prompts and pairs by stratum, the pairs that
a person should look at first, and what a missed target lacks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate.pairing.agreement import agreement, in_conflict, margin_summary, scorer_summaries
from invdpo.curate.pairing.assembly import PairSet
from invdpo.curate.pairing.costs import Select, costs, shortfall
from invdpo.curate.pairing.pool import Floats, Ints
from invdpo.curate.pairing.reasons import Bools
from invdpo.curate.pairing.selection import WHATEVER_THE_POLICY, PairingTables, dropped_pairs
from invdpo.curate.pairing.splits import PromptSplit
from invdpo.schemas import DataError
from invdpo.schemas.config.pair import STRATA, PairConfig
from invdpo.schemas.io.documents import read_json

Report = dict[str, Any]

WORST = 20
"""Pairs named for each kind of worst case."""


def report(
    pair_set: PairSet, tables: PairingTables, config: PairConfig, table: pa.Table, select: Select
) -> Report:
    """Counts at every filter, balance, agreement, worst cases, and what a missed target lacks.

    `table` holds the pairs. `select` selects pairs from the same tables by another configuration;
    it is called only for a missed target.
    """
    selection, pairs, target = pair_set.selection, pair_set.pairs, pair_set.target
    pool, prompts, lower = selection.pool, selection.prompts, tables.lower_is_better
    total, paired = len(tables.prompts), len(np.unique(pairs.prompt))
    scores = {name: -raw if name in lower else raw for name, raw in pool.raw.items()}
    cost = {} if target.met else costs(config, selection, target, select)
    missed = None if target.met else shortfall(config, selection, target, cost, select)
    content: Report = {
        "config": config.fingerprint(),
        "candidates": {
            "total": len(tables.candidates),
            "usable": len(pool.ids),
            "dropped": dict(selection.dropped_candidates),
        },
        "prompts": {"total": total, "paired": paired, "dropped": prompts.counts()},
        "pairs": {
            "total": len(table),
            **_by_split(table),
            "in_conflict": in_conflict(selection, pairs),
        },
        "images": {"total": 2 * len(table), "distinct": _distinct_images(table)},
        "filters": list(_filters(pair_set, tables)),
        "margins": margin_summary(pairs.margin),
        "scorers": scorer_summaries(pair_set, config, lower),
        "agreement": agreement(scores, pool.prompt, total, pairs),
        "strata": balance(pair_set.prompts.strata, pairs.prompt, config.shares),
        "objects": by_objects(tables.prompts["graph"], prompts.kept),
        "split": _split(pair_set.prompts.split, config),
        "worst": worst_pairs(pair_set, config, scores),
        "shortfall": missed,
        "costs": cost,
        "prompts_without_pair": prompts_without_pair(tables.prompts, prompts.reasons()),
    }
    if config.reviews:
        reviews = selection.reviews
        by_scorer = {name: reviews.agreement(values) for name, values in scores.items()}
        ranked = reviews.agreement(selection.ranking.combined)
        agreements = {"ranked": ranked, "scorers": by_scorer}
        content["reviews"] = reviews.counts() | {"agreement": agreements}
    return content


def _by_split(pairs: pa.Table) -> dict[str, int]:
    validation = pc.sum(pc.equal(pairs["split"], "validation")).as_py() or 0
    return {"train": len(pairs) - validation, "validation": validation}


def _distinct_images(pairs: pa.Table) -> int:
    both = pa.chunked_array([*pairs["chosen_id"].chunks, *pairs["rejected_id"].chunks], pa.string())
    return int(pc.count_distinct(both).as_py())


def _split(split: PromptSplit, config: PairConfig) -> dict[str, Any]:
    in_a_split = split.held_out[~split.straddling]
    return {
        "by": config.split_by,
        "asked": config.validation_fraction,
        "prompts_held_out": float(in_a_split.mean()) if len(in_a_split) else 0.0,
        "prompts_left_out": int(split.straddling.sum()),
        "largest_cluster": split.largest(),
    }


def _filters(pair_set: PairSet, tables: PairingTables) -> Iterator[dict[str, Any]]:
    """Counts before and after every filter, of candidates, then prompts, then pairs."""
    selection, kept = pair_set.selection, pair_set.target.kept
    yield from _steps("candidates", len(tables.candidates), selection.dropped_candidates)
    prompts = selection.prompts.counts().items()
    unable = [(reason, n) for reason, n in prompts if reason in WHATEVER_THE_POLICY]
    yield from _steps("prompts", len(tables.prompts), unable)
    steps = list(dropped_pairs(selection))
    if not kept.all():
        steps.append((pair_set.target.reason, int((~kept).sum())))
    yield from _steps("pairs", selection.filtered.proposed, steps)


def _steps(unit: str, count: int, steps: Iterable[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    for name, dropped in steps:
        yield {"name": name, "unit": unit, "before": count, "after": count - dropped}
        count -= dropped


def require_target(report: Report, more: str = "") -> None:
    """Raise `DataError`, with `more` to say, when the report says that a target was missed."""
    if report["shortfall"]:
        raise DataError("\n".join(filter(None, (report["shortfall"], more))))


def prompts_without_pair(prompts: pa.Table, reasons: np.ndarray[Any, Any]) -> dict[str, str]:
    """Prompt id -> the reason why it gave no pair; `reasons` of p prompts, None with a pair."""
    dropped = np.array([reason is not None for reason in reasons], dtype=bool)
    ids = pc.filter(prompts["prompt_id"], pa.array(dropped)).to_pylist()
    return dict(zip(ids, reasons[dropped].tolist(), strict=True))


def balance(
    strata: Sequence[Mapping[str, str]], paired: Ints, shares: Mapping[str, float]
) -> dict[str, Any]:
    """Kind -> name -> prompts, pairs, and the share that was asked for, None where none was.

    `strata` of each of p prompts; `paired` holds the prompt of each of m pairs.
    """
    by_kind = {}
    for kind, names in STRATA.items():
        prompts = Counter(of_prompt[kind] for of_prompt in strata)
        pairs = Counter(strata[row][kind] for row in paired.tolist())
        stated = {name: shares[f"{kind}.{name}"] for name in names if f"{kind}.{name}" in shares}
        by_kind[kind] = {
            name: {"prompts": prompts[name], "pairs": pairs[name], "wanted": stated.get(name)}
            for name in names
            if prompts[name] or name in stated
        }
    return by_kind


def by_objects(graphs: pa.ChunkedArray, paired: Bools) -> dict[str, dict[str, int]]:
    """Prompts, and those with a pair, by the number of objects that the intended graph names."""
    texts = graphs.combine_chunks().dictionary_encode()
    read = [*map(_object_count, texts.dictionary.to_pylist()), _object_count(None)]
    numbers = [read[n] for n in texts.indices.fill_null(len(read) - 1).to_pylist()]
    total, chosen = Counter(numbers), Counter(n for n, p in zip(numbers, paired, strict=True) if p)
    return {name: {"prompts": total[name], "pairs": chosen[name]} for name in sorted(total)}


def _object_count(graph: str | None) -> str:
    if graph is None:
        return "unknown"
    try:
        return str(len(read_json(graph, "graph", dict).get("items", ())))
    except (DataError, TypeError):
        return "unknown"


def worst_pairs(
    pair_set: PairSet, config: PairConfig, scores: Mapping[str, Floats]
) -> dict[str, list[str]]:
    """Pair ids, the worst first, at most 20 each.

    `least_margin`: the smallest margins; `most_conflict`: those that a ranked scorer is most
    against, on the scale of the normalisation; `held_out_disagrees`: those that the held-out scorer
    is most against. `scores` are raw, n each, with the sign that makes higher better.
    """
    pairs, ranked = pair_set.pairs, pair_set.selection.ranking.scores.values()
    losses = [values[pairs.rejected] - values[pairs.chosen] for values in ranked]
    against: list[str] = []
    if config.held_out:
        values = scores[config.held_out]
        against = _smallest(pair_set, values[pairs.chosen] - values[pairs.rejected], below=0)
    return {
        "least_margin": _smallest(pair_set, pairs.margin),
        "most_conflict": _smallest(pair_set, -np.max(losses, axis=0), below=0),
        "held_out_disagrees": against,
    }


def _smallest(pair_set: PairSet, values: Floats, below: float = np.inf) -> list[str]:
    """Ids of the pairs with the smallest of these values (m), among those under `below`."""
    rows = np.flatnonzero(values < below)
    if len(rows) > WORST:
        last = np.partition(values[rows], WORST - 1)[WORST - 1]
        rows = rows[values[rows] <= last]
    order = np.lexsort((pair_set.ids[rows].astype(str), values[rows]))
    return [str(pair_id) for pair_id in pair_set.ids[rows[order[:WORST]]]]
