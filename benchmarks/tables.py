"""The tables of `embedded.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from report import stamp, table
from study import Point, Right, Run

from invdpo.curate.evaluation.statistics import mean, wilson


def markdown(base: Right, runs: Sequence[Run], facts: Mapping[str, object]) -> str:
    """The whole result as Markdown."""
    share = wilson(sum(base.values()), len(base))
    head = [
        f"{stamp()}, no accelerator.",
        "; ".join(f"{key}: {value}" for key, value in facts.items()),
        f"Base model: {share.value:.3f} [{share.low:.3f}, {share.high:.3f}] exactly right.",
    ]
    rows = [
        _row(name, some, step, base) for name, some in _by_variant(runs) for step in _steps(some)
    ]
    chosen = [_chosen(name, some, base) for name, some in _by_variant(runs)]
    return "\n\n".join([*head, table(HEAD, rows), CHOSEN, table(HEAD, chosen)])


HEAD = (
    "variant",
    "step",
    "accuracy, mean of seeds",
    "gain over base [95 %]",
    "each seed",
    "train seconds",
    "UNet sample-forwards",
)
CHOSEN = "At the judged step with the least validation loss, as `keep: best` chooses:"


def _by_variant(runs: Sequence[Run]) -> Iterable[tuple[str, list[Run]]]:
    for name in dict.fromkeys(run.variant for run in runs):
        yield name, [run for run in runs if run.variant == name]


def _steps(runs: Sequence[Run]) -> list[int]:
    return [point.step for point in runs[0].points]


def _row(name: str, runs: Sequence[Run], step: int, base: Right) -> tuple[str, ...]:
    points = [next(p for p in run.points if p.step == step) for run in runs]
    return (name, str(step), *_figures(points, base))


def _chosen(name: str, runs: Sequence[Run], base: Right) -> tuple[str, ...]:
    points = [next(p for p in run.points if p.step == run.best_step) for run in runs]
    return (name, " ".join(str(p.step) for p in points), *_figures(points, base))


def _figures(points: Sequence[Point], base: Right) -> tuple[str, ...]:
    shares = [fmean(point.right.values()) for point in points]
    gain = _gain(points, base)
    return (
        f"{fmean(shares):.3f}",
        f"{gain[0]:+.3f} [{gain[1]:+.3f}, {gain[2]:+.3f}]",
        " ".join(f"{share:.3f}" for share in shares),
        f"{fmean(point.seconds for point in points):.0f}",
        f"{fmean(point.forwards for point in points):,.0f}",
    )


def _gain(points: Sequence[Point], base: Right) -> tuple[float, float, float]:
    """Mean over seeds for each prompt, then mean and normal interval over prompts."""
    return mean([fmean(p.right[name] for p in points) - base[name] for name in base])
