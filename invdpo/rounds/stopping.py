"""When rounds have come to their end, and which of their models is the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from invdpo.curate.evaluation.statistics import Interval, mean
from invdpo.curate.scorers import SCORERS
from invdpo.rounds.record import RoundResult
from invdpo.rounds.round_plan import BASE, RoundPlan
from invdpo.schemas.config import Config
from invdpo.schemas.config.make_plugin import make_plugin
from invdpo.schemas.io.documents import read_file, read_json
from invdpo.schemas.io.text import count_noun

ALL_RIGHT = "composition_all_right"


def main_figure(config: Config) -> str:
    """What rounds are compared by: exactly right prompts, or else the scorer that weighs most.

    Never what is held out, by which nothing may be chosen, unless there is nothing else.
    """
    named = config.score.scorers
    scorers = [name for name in named if name != config.pair.held_out] or named
    if "composition" in scorers:
        return ALL_RIGHT
    weights = {name: config.pair.weights.get(name, 0.0) for name in scorers}
    return max(scorers, key=lambda name: weights[name])


def shown_figures(results: Sequence[RoundResult], config: Config) -> list[str]:
    """The main figure and every scorer that all models have a figure of."""
    names = dict.fromkeys([main_figure(config), *config.score.scorers])
    return [name for name in names if all(_by_prompt(result, name) for result in results)]


def has_figure(result: RoundResult, figure: str) -> bool:
    """Whether a model has a value of it for some prompt."""
    return bool(_by_prompt(result, figure))


def difference(first: RoundResult, second: RoundResult, figure: str) -> Interval | None:
    """`second` minus `first`, paired by the prompts that both have the figure for; None without."""
    a, b = (_by_prompt(result, figure) for result in (first, second))
    paired = [b[prompt] - a[prompt] for prompt in a if prompt in b]
    return mean(paired) if paired else None


def value(result: RoundResult, figure: str) -> Interval:
    """A figure of one model over the validation prompts; a share's interval ends at 0 and 1."""
    interval = mean(list(_by_prompt(result, figure).values()))
    if figure != ALL_RIGHT:
        return interval
    return Interval(interval.value, max(0.0, interval.low), min(1.0, interval.high))


def best_round(results: Sequence[RoundResult], config: Config) -> RoundResult:
    """The model with the best figure, by the prompts that two have; the earlier one of equals."""
    figure, best = main_figure(config), results[0]
    sign = _sign(figure, best, config)
    for result in results[1:]:
        change = difference(best, result, figure)
        best = result if change and sign * change.value > 0 else best
    return best


def unlike_prompts(results: Sequence[RoundResult], config: Config) -> str:
    """What to know of means over different prompts, in a sentence; empty for the same ones."""
    figure = main_figure(config)
    judged = {r.number: _by_prompt(r, figure).keys() for r in results}
    if all(prompts == judged[BASE] for prompts in judged.values()):
        return ""
    counts = (f"round {n}: {len(p)}" if n else f"base: {len(p)}" for n, p in judged.items())
    return (
        f"{figure} is known for different prompts ({', '.join(counts)}), and a mean is over those "
        "alone. The gain and the best round go by the prompts that both models have."
    )


def _sign(figure: str, result: RoundResult, config: Config) -> int:
    """1 for a figure of which more is better, -1 for one of which less is."""
    lower = result.lower_is_better
    if lower is None:
        lower = lower_is_better([figure] if figure in SCORERS.names() else [], config)
    return -1 if figure in lower else 1


def lower_is_better(names: Sequence[str], config: Config) -> list[str]:
    """The scorers among these of which less is better. Raises `PluginError` for unknown ones."""
    made = {name: make_plugin(SCORERS, name, config.score) for name in names}
    return [name for name, scorer in made.items() if not scorer.higher_is_better]


def reason_to_stop(results: Sequence[RoundResult], config: Config) -> str:
    """Why no further round should follow, in a sentence; empty when one should."""
    options, figure = config.improve, main_figure(config)
    if len(results) < 2:
        return ""
    base, last = results[0], results[-1]
    better = _last_better(results, figure, config)
    idle = last.number - better.number
    if options.patience and idle >= options.patience:
        rounds = count_noun(idle, "round")
        earlier = f"round {better.number}" if better.number else "the base model"
        return f"{rounds} in a row did not improve on {earlier} ({figure})."
    if held_out := config.pair.held_out:
        change = difference(base, last, held_out)
        if change and _loses(change, _sign(held_out, base, config)):
            side = "below" if change.value < 0 else "above"
            where = f"{abs(change.value):.3f} {side} the base model's, which is worse"
            return f"{held_out}, which is held out from choosing pairs, is {where}."
    now = last.judgement["diversity"]
    first = base.diversity_at(last.guidance_scale)
    if first and now is not None and now < options.min_diversity * first:
        share = now / first
        return f"Images of one prompt differ by only {share:.0%} of the base model's difference."
    return ""


def no_pairs(plan: RoundPlan, number: int) -> str:
    """Why a round can't be trained, in a sentence; empty where it has pairs, or no report yet."""
    path = plan.workspace(number).report_path
    if not path.exists():
        return ""
    report = read_json(read_file(path), path, dict)
    if report["pairs"]["total"]:
        return ""
    prompts, lost = count_noun(report["prompts"]["total"], "prompt"), report["prompts"]["dropped"]
    why = "; ".join(f"{n} x {reason}" for reason, n in sorted(lost.items(), key=lambda r: -r[1]))
    text = f"none of the {prompts} of round {number} gives a pair" + (f" ({why})" if why else "")
    return f"{text}: see invdpo report {path.parent}"


def _loses(change: Interval, sign: int) -> bool:
    """Whether a difference is for the worse beyond its interval."""
    return change.high < 0 if sign > 0 else change.low > 0


def _last_better(results: Sequence[RoundResult], figure: str, config: Config) -> RoundResult:
    """The last model that was better, beyond its interval, than the last such one before it.

    That one stays the measure meanwhile, so that several small gains count when they add up.
    """
    better, sign = results[0], _sign(figure, results[0], config)
    for result in results[1:]:
        change = difference(better, result, figure)
        if change and _loses(change, -sign):
            better = result
    return better


def _by_prompt(result: RoundResult, figure: str) -> Mapping[str, float]:
    figures: Mapping[str, Mapping[str, float]] = result.judgement["figures"]
    return figures.get(figure, {})
