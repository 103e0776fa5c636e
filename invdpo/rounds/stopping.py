"""When rounds have come to their end, and which of their models is the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from invdpo.curate.evaluation.statistics import Interval, mean
from invdpo.rounds.record import RoundResult
from invdpo.schemas.config import Config
from invdpo.schemas.io.text import count_noun

ALL_RIGHT = "composition_all_right"


def main_figure(config: Config) -> str:
    """What rounds are compared by: exactly right prompts, or else the scorer that weighs most."""
    scorers = config.score.scorers
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
    """A figure of one model over the validation prompts."""
    return mean(list(_by_prompt(result, figure).values()))


def best_round(results: Sequence[RoundResult], config: Config) -> RoundResult:
    """The model with the highest figure; the earlier one of equals."""
    figure = main_figure(config)
    return max(results, key=lambda result: (value(result, figure).value, -result.number))


def reason_to_stop(results: Sequence[RoundResult], config: Config) -> str:
    """Why no further round should follow, in a sentence; empty when one should."""
    options, figure = config.improve, main_figure(config)
    if len(results) < 2:
        return ""
    base, last = results[0], results[-1]
    if options.patience and (idle := _rounds_without_gain(results, figure)) >= options.patience:
        number = len(results) - 1 - idle
        rounds = count_noun(idle, "round")
        earlier = f"round {number}" if number else "the base model"
        return f"{rounds} in a row did not improve on {earlier} ({figure})."
    if held_out := config.pair.held_out:
        change = difference(base, last, held_out)
        if change and change.high < 0:
            fall = f"{-change.value:.3f} below the base model's"
            return f"{held_out}, which is held out from choosing pairs, has fallen to {fall}."
    first, now = base.judgement["diversity"], last.judgement["diversity"]
    if first and now is not None and now < options.min_diversity * first:
        share = now / first
        return f"Images of one prompt differ by only {share:.0%} of the base model's difference."
    return ""


def _rounds_without_gain(results: Sequence[RoundResult], figure: str) -> int:
    """Rounds since the last one that was better, beyond its interval, than the last such one.

    That one stays the measure meanwhile, so that several small gains count when they add up.
    """
    last, idle = results[0], 0
    for result in results[1:]:
        change = difference(last, result, figure)
        if change and change.low > 0:
            last, idle = result, 0
        else:
            idle += 1
    return idle


def _by_prompt(result: RoundResult, figure: str) -> Mapping[str, float]:
    figures: Mapping[str, Mapping[str, float]] = result.judgement["figures"]
    return figures.get(figure, {})
