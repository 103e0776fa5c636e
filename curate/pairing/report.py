"""What happened while pairs were cut: counts, reasons, margins and how far the scorers agree."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from invdpo.curate.pairing.pool import Bools, Floats
from invdpo.curate.pairing.select import ALIKE, EQUAL, MARGIN, ONE, UNUSABLE
from invdpo.schemas import DataError

Report = dict[str, Any]

COSTS = (UNUSABLE, ONE, EQUAL, ALIKE, MARGIN)
"""Reasons that another configuration or another run could change."""


def margin_summary(margins: Floats) -> dict[str, float]:
    """Mean and quantiles; empty when there is no pair."""
    if not len(margins):
        return {}
    names = ("min", "p10", "median", "p90", "max")
    quantiles = np.quantile(margins, (0, 0.1, 0.5, 0.9, 1))
    return {"mean": float(margins.mean())} | dict(zip(names, quantiles.tolist(), strict=True))


def scorer_summary(chosen: Floats, rejected: Floats, sign: int) -> dict[str, float | int | None]:
    """How one scorer sees the pairs; `sign` is -1 when its lower scores are better.

    `agreement` is the share of pairs it prefers the chosen of, among those it does not call equal.
    """
    delta = chosen - rejected
    known = np.isfinite(delta)
    agree, against = int((sign * delta > 0).sum()), int((sign * delta < 0).sum())
    return {
        "pairs": int(known.sum()),
        "chosen_mean": _mean(chosen[known]),
        "rejected_mean": _mean(rejected[known]),
        "difference_mean": _mean(delta[known]),
        "agree": agree,
        "disagree": against,
        "ties": int((delta == 0).sum()),
        "agreement": agree / (agree + against) if agree + against else None,
    }


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def by_objects(graphs: pa.ChunkedArray, paired: Bools) -> dict[str, dict[str, int]]:
    """Prompts and pairs by the number of objects that the intended graph names."""
    numbers = [_objects(graph) for graph in graphs.to_pylist()]
    total, chosen = Counter(numbers), Counter(n for n, p in zip(numbers, paired, strict=True) if p)
    return {name: {"prompts": total[name], "pairs": chosen[name]} for name in sorted(total)}


def _objects(graph: str | None) -> str:
    if graph is None:
        return "unknown"
    try:
        return str(len(json.loads(graph).get("items", ())))
    except (ValueError, AttributeError):
        return "unknown"


def shortfall(
    asked: int | None, margins: Floats, dropped: Mapping[str, int], could: Floats
) -> str | None:
    """Why there are fewer pairs than asked for, in one sentence a person can act on, or None.

    `margins` of the pairs there are, and `could` of those that only `min_margin` dropped.
    """
    if asked is None or len(margins) >= asked:
        return None
    costs = {name: n for name, n in dropped.items() if name in COSTS}
    worst = ", ".join(f"{name}: {n}" for name, n in sorted(costs.items(), key=lambda c: -c[1]))
    text = f"{asked} pairs were asked for, {len(margins)} were found."
    text += f" Prompts lost: {worst}." if costs else " Every prompt gave one."
    lacking = asked - len(margins)
    if lacking <= len(could):
        enough = np.sort(could)[-lacking]
        return f"{text} A min_margin of {np.floor(enough * 1000) / 1000:g} would give them."
    most = len(margins) + len(could)
    return f"{text} Even without a min_margin there would be {most}: add prompts."


def require_target(report: Report) -> None:
    """Raise `DataError` when the report tells of fewer pairs than `target_pairs` asked for."""
    if report["shortfall"]:
        raise DataError(report["shortfall"])


def lost_prompts(prompt_ids: pa.ChunkedArray, reasons: np.ndarray[Any, Any]) -> dict[str, str]:
    """Prompt id to the reason why it gave no pair."""
    dropped = np.array([reason is not None for reason in reasons], dtype=bool)
    ids = pc.filter(prompt_ids, pa.array(dropped)).to_pylist()
    return dict(zip(ids, reasons[dropped].tolist(), strict=True))
