"""What happened while pairs were cut, in plain JSON types.

MERGED: Prompts and pairs by stratum.

MERGED: The pairs that a person should look at first.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate.pairing.agreement import agreement, in_conflict, margin_summary, scorer_summaries
from invdpo.curate.pairing.assembly import PairSet
from invdpo.curate.pairing.costs import Again, costs, shortfall
from invdpo.curate.pairing.pool import Floats, Ints
from invdpo.curate.pairing.reasons import Bools
from invdpo.curate.pairing.selection import ABLE, Tables, pair_steps
from invdpo.curate.pairing.splits import Split
from invdpo.schemas import DataError
from invdpo.schemas.config.pair import STRATA, PairConfig

Report = dict[str, Any]


def report(
    cut: PairSet, tables: Tables, config: PairConfig, table: pa.Table, again: Again
) -> Report:
    """Counts at every filter, balance, agreement, worst cases, and what a missed target lacks.

    `again` cuts the same tables by another configuration; it is called only for a missed target.
    """
    choice, pairs, lower = cut.choice, cut.pairs, tables.lower_is_better
    lost = choice.prompts
    total, paired = len(tables.prompts), len(np.unique(pairs.prompt))
    turned = {n: -raw if n in lower else raw for n, raw in choice.pool.raw.items()}
    cost = {} if cut.filled.met else costs(config, choice, cut.filled, again)
    missed = None if cut.filled.met else shortfall(config, choice, cut.filled, cost, again)
    found: Report = {
        "config": config.fingerprint(),
        "candidates": {
            "total": len(tables.candidates),
            "usable": len(choice.pool.ids),
            "dropped": dict(choice.candidates),
        },
        "prompts": {"total": total, "paired": paired, "dropped": lost.counts()},
        "pairs": {
            "total": len(table),
            **_by_split(table),
            "in_conflict": in_conflict(choice, pairs),
        },
        "images": {"total": 2 * len(table), "distinct": _distinct(table)},
        "filters": list(_filters(cut, tables)),
        "margins": margin_summary(pairs.margin),
        "scorers": scorer_summaries(cut, config, lower),
        "agreement": agreement(turned, choice.pool.prompt, total, pairs),
        "strata": balance(cut.scenes.strata, pairs.prompt, config.shares),
        "objects": by_objects(tables.prompts["graph"], lost.kept),
        "split": _split(cut.scenes.split, config),
        "worst": worst(cut, config, turned),
        "shortfall": missed,
        "costs": cost,
        "prompts_without_pair": lost_prompts(tables.prompts["prompt_id"], lost.reasons()),
    }
    if config.reviews:
        marking = choice.marking
        each = {name: marking.agreement(scores) for name, scores in turned.items()}
        ranked = marking.agreement(choice.ranking.combined)
        found["reviews"] = marking.counts() | {"agreement": {"ranked": ranked, "scorers": each}}
    return found


def _by_split(pairs: pa.Table) -> dict[str, int]:
    held = pc.sum(pc.equal(pairs["split"], "validation")).as_py() or 0
    return {"train": len(pairs) - held, "validation": held}


def _distinct(pairs: pa.Table) -> int:
    both = pa.chunked_array([*pairs["chosen_id"].chunks, *pairs["rejected_id"].chunks], pa.string())
    return int(pc.count_distinct(both).as_py())


def _split(split: Split, config: PairConfig) -> dict[str, Any]:
    inside = split.held[~split.straddling]
    got = float(inside.mean()) if len(inside) else 0.0
    return {
        "by": config.split_by,
        "asked": config.validation_fraction,
        "prompts_held_out": got,
        "prompts_left_out": int(split.straddling.sum()),
        "largest_cluster": split.largest(),
    }


def _filters(cut: PairSet, tables: Tables) -> Iterator[dict[str, Any]]:
    """Counts before and after every filter, of candidates, then prompts, then pairs."""
    choice = cut.choice
    yield from _steps("candidates", len(tables.candidates), choice.candidates)
    before = [step for step in choice.prompts.counts().items() if step[0] in ABLE]
    yield from _steps("prompts", len(tables.prompts), before)
    steps = list(pair_steps(choice))
    if not cut.filled.kept.all():
        steps.append((cut.filled.reason, int((~cut.filled.kept).sum())))
    yield from _steps("pairs", choice.sifted.proposed, steps)


def _steps(unit: str, count: int, steps: Iterable[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    for name, dropped in steps:
        yield {"name": name, "unit": unit, "before": count, "after": count - dropped}
        count -= dropped


def require_target(report: Report, more: str = "") -> None:
    """Raise `DataError`, with `more` to say, when the report tells of a missed target."""
    if report["shortfall"]:
        raise DataError("\n".join(filter(None, (report["shortfall"], more))))


def lost_prompts(prompt_ids: pa.ChunkedArray, reasons: np.ndarray[Any, Any]) -> dict[str, str]:
    """Prompt id to the reason why it gave no pair."""
    dropped = np.array([reason is not None for reason in reasons], dtype=bool)
    ids = pc.filter(prompt_ids, pa.array(dropped)).to_pylist()
    return dict(zip(ids, reasons[dropped].tolist(), strict=True))


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
    read = [*map(_object_count, texts.dictionary.to_pylist()), _object_count(None)]
    numbers = [read[n] for n in texts.indices.fill_null(len(read) - 1).to_pylist()]
    total, chosen = Counter(numbers), Counter(n for n, p in zip(numbers, paired, strict=True) if p)
    return {name: {"prompts": total[name], "pairs": chosen[name]} for name in sorted(total)}


def _object_count(graph: str | None) -> str:
    if graph is None:
        return "unknown"
    try:
        return str(len(json.loads(graph).get("items", ())))
    except (ValueError, AttributeError):
        return "unknown"


SHOWN = 20


def worst(cut: PairSet, config: PairConfig, turned: Mapping[str, Floats]) -> dict[str, list[str]]:
    """Pair ids, the worst first, at most 20 each.

    `least_margin`: the smallest margins; `most_conflict`: those a ranked scorer is most against, on
    the scale of the normalisation; `held_out_disagrees`: those the held-out scorer is most against.
    `turned` are raw scores, n each, with higher as better.
    """
    pairs = cut.pairs
    each = cut.choice.ranking.each.values()
    losses = [scores[pairs.rejected] - scores[pairs.chosen] for scores in each]
    against: list[str] = []
    if config.held_out:
        scores = turned[config.held_out]
        against = _first(cut, scores[pairs.chosen] - scores[pairs.rejected], below=0)
    return {
        "least_margin": _first(cut, pairs.margin),
        "most_conflict": _first(cut, -np.max(losses, axis=0), below=0),
        "held_out_disagrees": against,
    }


def _first(cut: PairSet, values: Floats, below: float = np.inf) -> list[str]:
    """Ids of the pairs with the smallest of these values (m), among those under `below`."""
    rows = np.flatnonzero(values < below)
    if len(rows) > SHOWN:
        last = np.partition(values[rows], SHOWN - 1)[SHOWN - 1]
        rows = rows[values[rows] <= last]
    order = np.lexsort((cut.ids[rows].astype(str), values[rows]))
    return [str(name) for name in cut.ids[rows[order[:SHOWN]]]]
