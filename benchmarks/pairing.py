"""Cutting pairs, ours against a plain pandas groupby-apply of the same policy; prints Markdown.

    python benchmarks/pairing.py [--sizes 100000 1000000]

Candidates come 8 to a prompt, with 6 scorers, as Arrow tables in memory. The policy: best against
worst by the weighted mean of scores standardised within the prompt, a margin, a consensus of four
scorers, no loss above 1.5. `ours` is `cut_pairs` whole: it also hashes ids, reads graphs, splits
and reports. `pandas` joins the tables, gives each prompt to one function, and does only what
decides the pairs. Every line is a process of its own, which tells its processor time and peak
resident set; the pairs of both must be the same.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from report import stamp, table

from invdpo.curate.pairing import cut_pairs
from invdpo.curate.shapes import scenes
from invdpo.schemas.config.pair import PairConfig
from invdpo.schemas.ids import canonical_json

EACH = 8
WEIGHTS = {"a": 1.0, "b": 0.5, "c": 0.5, "d": 0.25, "e": 0.25, "f": 0.25}
CONFIG = PairConfig(weights=WEIGHTS, min_margin=1.0, consensus=4, max_loss=1.5)
SHARED = ["prompt_id", "chosen_id", "rejected_id", "margin"]


class Made(NamedTuple):
    """What pairs are cut from."""

    prompts: pa.Table
    candidates: pa.Table
    scores: dict[str, pa.Table]


def made(rows: int) -> Made:
    """Tables of random scores that agree a little, in the order in which steps write them."""
    rng = np.random.default_rng(rows)
    prompts = rows // EACH
    quality = rng.normal(size=rows)
    ids = pa.array([f"{n:032x}" for n in rng.permutation(rows)])
    of = pa.array([f"{n:032x}" for n in range(prompts)])
    graphs = [scenes.sample_graph(rng, "train").to_dict() for _ in range(2_000)]
    texts = [canonical_json(graphs[n % len(graphs)]) for n in range(prompts)]
    looks = pa.array([f"{n:016x}" for n in rng.integers(0, 2**63, rows)])
    ok = pa.array(["ok"] * rows)
    return Made(
        pa.table({"prompt_id": of, "prompt": of, "graph": texts, "split_group": of}),
        pa.table(
            {
                "candidate_id": ids,
                "prompt_id": of.take(pa.array(np.arange(rows) // EACH)),
                "phash": looks,
                "status": ok,
            }
        ),
        {
            name: pa.table(
                {"candidate_id": ids, "score": quality + rng.normal(size=rows), "status": ok}
            )
            for name in WEIGHTS
        },
    )


def ours(tables: Made) -> pa.Table:
    """All of `cut_pairs`."""
    return cut_pairs(*tables, CONFIG)[0].select(SHARED)


def pandas(tables: Made) -> pa.Table:
    """A join and one function for each prompt."""
    frame: Any = tables.candidates.select(["candidate_id", "prompt_id"]).to_pandas()
    for name, scored in tables.scores.items():
        column = scored.select(["candidate_id", "score"]).to_pandas()
        frame = frame.merge(column.rename(columns={"score": name}), on="candidate_id")
    frame = frame.sort_values("candidate_id")
    found = frame.groupby("prompt_id", sort=False)[frame.columns.tolist()].apply(_pair)
    found = found.dropna().reset_index(drop=True)
    return pa.Table.from_pandas(found[SHARED], preserve_index=False)


def _pair(group: Any) -> Any:
    """The pair of one prompt, empty where there is none."""
    import pandas as pd

    names = list(WEIGHTS)
    scores = group[names]
    scaled = (scores - scores.mean()) / scores.std(ddof=0)
    weights = pd.Series(WEIGHTS) / sum(WEIGHTS.values())
    combined = (scaled * weights).sum(axis=1)
    best, worst = combined.idxmax(), combined.idxmin()
    margin, lead = combined[best] - combined[worst], scaled.loc[best] - scaled.loc[worst]
    if margin < CONFIG.min_margin or (lead > 0).sum() < 4 or lead.min() < -1.5:
        return pd.Series(dict.fromkeys(SHARED), dtype=object)
    ids = group["candidate_id"]
    return pd.Series(
        {
            "prompt_id": group["prompt_id"].iloc[0],
            "chosen_id": ids[best],
            "rejected_id": ids[worst],
            "margin": margin,
        }
    )


WAYS: dict[str, Callable[[Made], pa.Table]] = {"ours": ours, "pandas": pandas}


def measured(way: str, rows: int, out: Path) -> dict[str, float]:
    """Seconds by the clock and of the processor, and peak resident set (MB), in this process."""
    tables = made(rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clock, busy = time.perf_counter(), time.process_time()
    pairs = WAYS[way](tables)
    clock, busy = time.perf_counter() - clock, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pq.write_table(pairs, out)
    return {
        "pairs": len(pairs),
        "clock": clock,
        "busy": busy,
        "before": before / 1e3,
        "peak": peak / 1e3,
    }


def run(way: str, rows: int, out: Path) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--one", way, "--sizes", str(rows), "--out", str(out)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def same(one: Path, other: Path) -> bool:
    """Whether two ways came to the same pairs, margins to 1e-9."""
    tables = [pq.read_table(path).sort_by("prompt_id") for path in (one, other)]
    ids = [t.drop_columns("margin").cast(t.drop_columns("margin").schema) for t in tables]
    margins = [t["margin"].to_numpy().astype(float) for t in tables]
    return ids[0].to_pydict() == ids[1].to_pydict() and np.allclose(*margins, rtol=0, atol=1e-9)


def compared(rows: int, folder: Path) -> list[tuple[str, ...]]:
    """A line for each way, and how much faster ours is."""
    places = {way: folder / f"{way}-{rows}.parquet" for way in WAYS}
    found = {way: run(way, rows, place) for way, place in places.items()}
    if not same(*places.values()):
        raise SystemExit(f"{rows} candidates: the two ways differ.")
    slow = found["pandas"]
    return [
        (
            f"{rows:,}",
            way,
            f"{it['pairs']:,}",
            f"{it['clock']:.1f}",
            f"{it['busy']:.1f}",
            f"{1e6 * it['busy'] / rows:.1f}",
            f"{slow['busy'] / it['busy']:.0f}×",
            f"{it['peak']:,.0f}",
            f"{it['peak'] - it['before']:,.0f}",
        )
        for way, it in found.items()
    ]


def main() -> None:
    """Print a table, two lines for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.one, given.sizes[0], given.out)))
        return
    head = (
        "candidates",
        "way",
        "pairs",
        "seconds",
        "of processor",
        "µs of processor each",
        "faster",
        "peak memory, MB",
        "of it by cutting, MB",
    )
    print(f"{stamp()}.\n")
    with tempfile.TemporaryDirectory() as folder:
        print(table(head, [line for n in given.sizes for line in compared(n, Path(folder))]))


if __name__ == "__main__":
    main()
