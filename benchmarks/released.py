"""Our exact and subsampled steps beside the algorithm of the released trainer; prints Markdown.

    python benchmarks/released.py [--quick] [--repeats 5]

Every measurement runs in a process of its own; within a repeat the modes follow each other, so
that a ratio compares neighbours in time. `--quick` tries the script: a tiny network, one process
for all, so its times and the growth of its memory say nothing. `baseline.py` tells the modes apart.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from statistics import median
from typing import Any

import torch
from baseline import World, difference, ours, released, some, trajectories
from report import stamp, table

from invdpo.train.diagnostics.kept import counted

Figures = dict[str, float]
Step = Callable[[World], object]

MODES: dict[str, Callable[[int], tuple[Step, Step]]] = {
    "released": lambda n: (lambda w: released(w, 1, 2.0), lambda w: released(w, n, 2.0)),
    "released, guidance 1": lambda n: (
        lambda w: released(w, 1, 1.0),
        lambda w: released(w, n, 1.0),
    ),
    "exact": lambda n: _warm(n, n),
    "exact, N / 8": lambda n: _warm(n // 8, n // 8),
    "K = 8": lambda n: _warm(n, 8),
    "inversion": lambda n: (lambda w: trajectories(w, 1), lambda w: trajectories(w, n)),
    "inversion, guidance 2": lambda n: (
        lambda w: trajectories(w, 1, 2.0),
        lambda w: trajectories(w, n, 2.0),
    ),
}
"""N -> a step to warm up with, and the one that is measured."""


def _warm(steps: int, points: int) -> tuple[Step, Step]:
    """Our step on `points` of `steps` cached points; they are made while warming up."""
    made = []

    def first(world: World) -> None:
        made.append(some(trajectories(world, steps), points))
        ours(world, some(made[0], min(2, points)))

    return first, lambda world: ours(world, made[0])


def measured(mode: str, steps: int, quick: bool, count: bool) -> Figures:
    """One mode in this process: its time, its calls and samples, and MiB of memory.

    `seconds` pass on the clock, `processor` seconds on all cores of it. `grown` is the peak of the
    resident set after the step over that before the network was made. With `count` the step is
    done once more, untimed, to see what autograd keeps: `kept`.
    """
    import diffusers

    _ = diffusers.UNet2DConditionModel  # its import is no part of the growth
    start = _peak()
    world, (first, step) = World(quick), MODES[mode](steps)
    first(world)
    world.unet.zero_grad(set_to_none=True)
    world.calls = world.samples = 0
    began = time.perf_counter(), time.process_time()
    step(world)
    figures = {
        "seconds": time.perf_counter() - began[0],
        "processor": time.process_time() - began[1],
        "calls": world.calls,
        "samples": world.samples,
        "grown": _peak() - start,
    }
    if count:
        with counted(world.unet.parameters()) as kept:
            step(world)
        figures["kept"] = kept.peak / 2**20
    return figures


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def alone(function: Callable[..., Any], *args: object) -> Any:
    """The function's result, from a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def here(function: Callable[..., Any], *args: object) -> Any:
    """The function's result, from this process."""
    return function(*args)


def row(mode: str, steps: int, repeats: list[dict[str, Figures]]) -> tuple[str, ...]:
    """A mode's line of the table."""
    first = repeats[0][mode]
    n = steps // 8 if mode == "exact, N / 8" else steps
    return (
        mode,
        str(n),
        f"{first['calls']:.0f}",
        f"{first['samples']:.0f}",
        *(spread([r[mode][clock] for r in repeats]) for clock in ("processor", "seconds")),
        f"{first['kept']:,.1f}",
        f"{median(r[mode]['grown'] for r in repeats):,.0f}",
    )


HEAD = (
    "mode",
    "N",
    "UNet calls",
    "sample-forwards",
    "processor seconds",
    "seconds",
    "kept by autograd, peak MiB",
    "growth of peak resident set, MiB",
)


def goals(repeats: list[dict[str, Figures]], apart: float) -> Iterable[tuple[str, str, str]]:
    """What was asked for, the goal, and what was reached; times as ratios within a repeat."""

    def faster(*modes: str, base: str = "released") -> str:
        def ratios(clock: str) -> list[float]:
            return [r[base][clock] / sum(r[m][clock] for m in modes) for r in repeats]

        return f"{spread(ratios('processor'), '×')}; by the clock {spread(ratios('seconds'), '×')}"

    def memory(mode: str, other: str) -> str:
        kept = repeats[0][mode]["kept"] / repeats[0][other]["kept"]
        grown = [r[mode]["grown"] / (r[other]["grown"] or float("nan")) for r in repeats]
        return f"{kept:.4f} kept, {median(grown):.4f} grown"

    plain = "released, guidance 1"
    yield "gradient of exact against full graph, relative", "at most 1e-5", f"{apart:.1e}"
    yield "peak memory, exact at N against N / 8", "at most 1.05", memory("exact", "exact, N / 8")
    yield "peak memory, exact against released", "at most 0.1", memory("exact", "released")
    yield "warm cache, exact", "at least 1.6×", faster("exact")
    yield "warm cache, K = 8", "at least 10×", faster("K = 8")
    yield "cold cache, inversion and exact", "at least 1.5×", faster("inversion", "exact")
    yield "the same, inverted at guidance 2", "none", faster("inversion, guidance 2", "exact")
    yield "cold cache, inversion and K = 8", "none", faster("inversion", "K = 8")
    yield "warm exact, released at guidance 1", "none", faster("exact", base=plain)
    yield "cold exact, released at guidance 1", "none", faster("inversion", "exact", base=plain)


def spread(values: list[float], unit: str = "") -> str:
    """Median, and in brackets the least and the most."""
    return f"{median(values):.2f}{unit} ({min(values):.2f} to {max(values):.2f})"


NOTE = """\
A step is one pair, forward and backward, float32. The baseline inverts and trains at guidance 2,
as its script does, so each of its calls has two samples. Ours trains without guidance, and
inverts without it unless told otherwise, winner and loser in one call. Both are counted in calls
of the UNet and in sample-forwards, a sample being one latent in one call; the rows at guidance 1
show how much of the difference is guidance. `inversion` is done once a pair, in the first epoch,
and a cold cache adds it to one step; reading the cache from disk is in neither, nor are
optimiser, VAE and text encoders. Resident sets grow by weights and gradients too; what autograd
keeps does not count them. Times are medians (least to most) over the repeats, and their ratios
are between steps of the same repeat. On a machine that others use too, processor seconds say more
than the clock."""


def main() -> None:
    """Measure every mode and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tiny network and N = 8")
    parser.add_argument("--repeats", type=int, default=5, help="of everything; 5 by default")
    given = parser.parse_args()
    steps = 8 if given.quick else 80
    run = here if given.quick else alone
    repeats: list[dict[str, Figures]] = []
    for number in range(given.repeats):
        print(f"repeat {number + 1} of {given.repeats}", file=sys.stderr, flush=True)
        first = number == 0
        repeats.append({m: run(measured, m, steps, given.quick, first) for m in MODES})
    print("# The released algorithm beside ours\n")
    flags = f"{'--quick ' if given.quick else ''}--repeats {given.repeats}"
    print(
        f"`python benchmarks/released.py {flags}`. {stamp()}, no accelerator; "
        f"{torch.get_num_threads()} thread(s), torch {torch.__version__}.\n"
    )
    print(table(HEAD, [row(mode, steps, repeats) for mode in MODES]))
    load = os.getloadavg()[1]
    print(f"\n{NOTE} The machine's load over the last five minutes was {load:.1f}.\n")
    apart = run(difference, steps, given.quick)
    print(table(("what", "goal", "reached"), goals(repeats, apart)))


if __name__ == "__main__":
    main()
