"""When rounds stop, on records made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from invdpo.rounds.record import RoundResult
from invdpo.rounds.stopping import (
    best_round,
    difference,
    lower_is_better,
    main_figure,
    reason_to_stop,
    unlike_prompts,
    value,
)
from invdpo.schemas.config.load import load_config

PROMPTS = [f"p{n}" for n in range(100)]


def _result(
    number: int, right: int, *, clip: float = 0.5, diversity: float | None = 0.4
) -> RoundResult:
    """The first `right` prompts are exactly right."""
    figures = {
        "composition_all_right": {p: float(n < right) for n, p in enumerate(PROMPTS)},
        "clip": {p: clip + 0.001 * (n % 2) for n, p in enumerate(PROMPTS)},
    }
    judgement: dict[str, Any] = {"figures": figures, "diversity": diversity, "facts": {}}
    return RoundResult(number, "m", str(number), judgement)


def _scored(number: int, brisque: float) -> RoundResult:
    """By a scorer of which less is better."""
    figures = {"brisque": {p: brisque + n % 2 for n, p in enumerate(PROMPTS)}}
    judgement: dict[str, Any] = {"figures": figures, "diversity": None, "facts": {}}
    return RoundResult(number, "m", str(number), judgement)


def test_less_is_better_where_the_scorer_says_so() -> None:
    score, improve = {"scorers": ["brisque"]}, {"patience": 1}
    results = [_scored(0, 50.0), _scored(1, 30.0), _scored(2, 40.0)]
    config = load_config(None, {"score": score, "improve": improve})
    assert best_round(results, config).number == 1
    assert not reason_to_stop(results[:2], config)
    assert "did not improve on round 1" in reason_to_stop(results, config)
    held_out = load_config(None, {"score": score, "pair": {"held_out": "brisque"}})
    assert not reason_to_stop(results[:2], held_out)
    worse = "is 10.000 above the base model's, which is worse."
    assert worse in reason_to_stop([results[1], results[2]], held_out)


def test_models_are_compared_by_the_prompts_that_both_were_judged_on() -> None:
    """One whose images of wrong prompts could not be judged had the best mean."""
    config = load_config(None, {})
    base, better, bare = _result(0, 40), _result(1, 45), _result(2, 40)
    known = bare.judgement["figures"]["composition_all_right"]
    figures = {"composition_all_right": {p: v for p, v in known.items() if v}}
    bare = replace(bare, judgement={**bare.judgement, "figures": figures})
    assert value(bare, "composition_all_right").value == 1
    assert best_round([base, bare], config).number == 0
    assert best_round([base, better, bare], config).number == 1
    assert unlike_prompts([base, better], config) == ""
    assert "(base: 100, round 2: 40)" in unlike_prompts([base, bare], config)


def test_the_best_round_is_not_chosen_by_what_is_held_out() -> None:
    config = load_config(None, {"pair": {"held_out": "composition", "weights": {"clip": 1}}})
    assert main_figure(config) == "clip"
    results = [_result(0, 40), _result(1, 50, clip=0.7), _result(2, 90, clip=0.6)]
    assert best_round(results, config).number == 1


def test_a_plug_in_says_which_way_is_better() -> None:
    """The record keeps it, since a report may be made where the plug-in isn't installed."""
    judge = {"use": "remote", "remote_url": "http://127.0.0.1:1", "remote_lower_is_better": True}
    config = load_config(None, {"score": {"scorers": ["judge"], "plugins": {"judge": judge}}})
    lower = lower_is_better(["judge"], config)
    assert lower == ["judge"]
    results = [
        RoundResult(
            number,
            "m",
            str(number),
            {"figures": {"judge": dict.fromkeys(PROMPTS, score)}},
            lower_is_better=lower,
        )
        for number, score in enumerate((50.0, 30.0, 40.0))
    ]
    elsewhere = load_config(None, {"score": {"scorers": ["judge"]}})
    assert best_round(results, elsewhere).number == 1


def test_diversity_is_compared_at_one_guidance_scale() -> None:
    """Guidance alone changes it: here the base model's best scale is 3, the round's 1."""
    at = {"1": 0.5, "3": 0.4}
    base = replace(_result(0, 40), guidance_scale=3.0, diversities=at)
    round_1 = replace(_result(1, 60, diversity=0.38), guidance_scale=1.0)
    reason = reason_to_stop([base, round_1], _config())
    assert reason == "Images of one prompt differ by only 76% of the base model's difference."
    assert not reason_to_stop([replace(base, diversities={}), round_1], _config())


def test_the_interval_of_a_share_ends_at_one() -> None:
    """98 of 100: half the interval's width is .0276."""
    share = value(_result(0, 98), "composition_all_right")
    assert (share.value, share.high) == (0.98, 1.0)
    assert share.low == pytest.approx(0.98 - 1.959964 * (0.98 * 0.02 / 99) ** 0.5, abs=1e-6)


def _config(**improve: Any) -> Any:
    pair = {"weights": {"composition": 1.0}, "held_out": "clip"}
    return load_config(None, {"pair": pair, "improve": improve})


def test_the_best_round_is_the_highest_and_the_earlier_of_equals() -> None:
    results = [_result(0, 40), _result(1, 60), _result(2, 60), _result(3, 50)]
    assert best_round(results, _config()).number == 1


def test_differences_are_paired_by_prompt() -> None:
    gain = difference(_result(0, 40), _result(1, 45), "composition_all_right")
    assert gain is not None
    assert gain.value == pytest.approx(0.05)
    half = 1.959964 * (0.05 * 0.95 * 100 / 99 / 100) ** 0.5
    assert gain.low == pytest.approx(0.05 - half, abs=1e-6)


def test_patience_counts_rounds_that_were_not_evaluated_too() -> None:
    some = [_result(0, 40), _result(4, 60), _result(8, 61)]
    reason = reason_to_stop(some, _config(patience=3))
    assert reason.startswith("4 rounds in a row did not improve on round 4")
    assert not reason_to_stop(some, _config(patience=5))


def test_patience_counts_rounds_that_are_not_beyond_the_interval() -> None:
    flat = [_result(0, 40), _result(1, 60), _result(2, 61), _result(3, 62)]
    assert not reason_to_stop(flat[:3], _config(patience=2))
    reason = reason_to_stop(flat, _config(patience=2))
    assert reason == "2 rounds in a row did not improve on round 1 (composition_all_right)."
    assert not reason_to_stop(flat, _config())
    assert "on the base model" in reason_to_stop([_result(0, 60), *flat[1:3]], _config(patience=2))


def test_small_gains_count_once_they_add_up() -> None:
    slow = [_result(n, 40 + 3 * n) for n in range(6)]
    small, both = (difference(slow[0], slow[n], "composition_all_right") for n in (1, 2))
    assert small is not None
    assert both is not None
    assert small.low < 0 < both.low
    assert not reason_to_stop(slow, _config(patience=2))


def test_a_falling_held_out_scorer_and_falling_diversity_stop() -> None:
    base = _result(0, 40)
    assert "clip, which is held out" in reason_to_stop([base, _result(1, 60, clip=0.4)], _config())
    assert not reason_to_stop([base, _result(1, 60, clip=0.6)], _config())
    same = reason_to_stop([base, _result(1, 60, diversity=0.3)], _config())
    assert same == "Images of one prompt differ by only 75% of the base model's difference."
    assert not reason_to_stop([base, _result(1, 60, diversity=0.35)], _config())
    assert not reason_to_stop([base, _result(1, 60, diversity=None)], _config())


def test_without_a_prompt_that_both_have_nothing_is_compared() -> None:
    base, last = _result(0, 40), _result(1, 60)
    last.judgement["figures"]["clip"].clear()
    assert not reason_to_stop([base, last], _config())
    last.judgement["figures"]["composition_all_right"] = {"another": 1.0}
    assert reason_to_stop([base, last], _config(patience=1)).startswith("1 round in a row did not")


def test_without_facts_the_scorer_that_weighs_most_decides() -> None:
    score = {"scorers": ["clip", "aesthetic"]}
    config = load_config(None, {"score": score, "pair": {"weights": {"aesthetic": 2.0, "clip": 1}}})
    assert main_figure(config) == "aesthetic"
