"""The report: agreement against SciPy's, worst cases, roles, and that all of it is JSON."""

import json
import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from invdpo.curate.pairing import cut_pairs
from invdpo.schemas import ConfigError
from tests.curate.pairing.pairing_tables import candidates, config, prompts, random_tables, scored


def test_rank_correlation_is_the_mean_of_spearmans() -> None:
    prompt_rows, candidate_rows, scores = random_tables(12, each=6, scorers="abc")
    _, report = cut_pairs(prompt_rows, candidate_rows, scores, config(), lower_is_better={"c"})
    agreement = report["agreement"]
    assert agreement["scorers"] == ["a", "b", "c"]
    matrix = np.array(agreement["rank_correlation"])
    raw = {n: np.array(t["score"].to_pylist()).reshape(12, 6) for n, t in scores.items()}
    scores_up = {"a": raw["a"], "b": raw["b"], "c": -raw["c"]}
    for i, first in enumerate("abc"):
        for j, second in enumerate("abc"):
            correlations = [
                spearmanr(x, y)[0] for x, y in zip(scores_up[first], scores_up[second], strict=True)
            ]
            assert matrix[i, j] == pytest.approx(np.mean(correlations))


def test_disagreement_counts_opposite_directions() -> None:
    names = {f"{side}{n}": f"p{n}" for n in range(4) for side in "xy"}
    scores = {
        "a": scored({f"{s}{n}": float(s == "y") for n in range(4) for s in "xy"}),
        "b": scored({f"{s}{n}": float(s == "xxyy"[n]) for n in range(4) for s in "xy"}, "b"),
        "c": scored({f"{s}{n}": 1.0 for n in range(4) for s in "xy"}, "c"),
        "d": scored({}, "d"),
    }
    _, report = cut_pairs(prompts(4), candidates(names), scores, config())
    agreement = report["agreement"]
    assert agreement["disagreement"] == [
        [0, 0.5, 0, None],
        [0.5, 0, 0, None],
        [0, 0, 0, None],
        [None] * 4,
    ]
    assert agreement["rank_correlation"][0] == [1, 0, None, None]
    assert report["scorers"]["c"]["tie_rate"] == 1
    assert report["scorers"]["b"]["tie_rate"] == 0
    assert report["scorers"]["d"]["tie_rate"] is None
    json.dumps(report, allow_nan=False)


def test_gaps_of_one_scorer_do_not_touch_the_others() -> None:
    prompt_rows, candidate_rows, scores = random_tables(6, each=4, scorers="ab")
    whole = cut_pairs(prompt_rows, candidate_rows, scores, config())[1]["agreement"][
        "rank_correlation"
    ][0][1]
    scores["c"] = scores["a"].slice(3)
    agreement = cut_pairs(prompt_rows, candidate_rows, scores, config())[1]["agreement"][
        "rank_correlation"
    ]
    assert agreement[0][1] == whole
    assert agreement[0][2] == pytest.approx(1)


def test_a_held_out_scorer_is_reported_and_takes_no_part() -> None:
    prompt_rows, candidate_rows, scores = random_tables(40, each=3, scorers="ab")
    without, _ = cut_pairs(prompt_rows, candidate_rows, {"a": scores["a"]}, config())
    pairs, report = cut_pairs(prompt_rows, candidate_rows, scores, config(held_out="b"))
    assert pairs["pair_id"].to_pylist() == without["pair_id"].to_pylist()
    assert {n: s["role"] for n, s in report["scorers"].items()} == {"a": "ranked", "b": "held_out"}
    against = {r["pair_id"]: r["delta_b"] for r in pairs.to_pylist() if r["delta_b"] < 0}
    named = report["worst"]["held_out_disagrees"]
    assert named == sorted(against, key=lambda n: against[n])[:20]
    assert report["scorers"]["b"]["disagree"] == len(against)
    plain = cut_pairs(prompt_rows, candidate_rows, scores, config())[1]
    assert plain["scorers"]["b"]["role"] == "unused"
    assert plain["worst"]["held_out_disagrees"] == []


def test_look_alikes_are_no_business_of_a_held_out_scorer() -> None:
    """Two images that look and score the same are no pair, whatever it says of them."""
    table = candidates({"x": "p0", "y": "p0"}, x="same", y="same")
    scores = {"a": scored({"x": 100, "y": 100.5}), "b": scored({"x": 0, "y": 9}, "b")}
    assert len(cut_pairs(prompts(1), table, scores, config())[0]) == 1
    assert len(cut_pairs(prompts(1), table, scores, config(held_out="b"))[0]) == 0


def test_a_held_out_scorer_needs_scores() -> None:
    with pytest.raises(ConfigError, match=r"pair\.held_out: no scores of 'z'; there are: a, b"):
        cut_pairs(*random_tables(2), config(held_out="z"))


def test_worst_cases() -> None:
    """Margins grow with the number of the prompt; b is against pairs 1 and 3, most of all 3."""
    names = {f"{side}{n}": f"p{n}" for n in range(30) for side in "xyz"}
    scores = {
        "a": scored({f"{s}{n}": "xyz".index(s) ** (1 + n / 10) for n in range(30) for s in "xyz"}),
        "b": scored(
            {
                f"{s}{n}": -float("xyz".index(s)) if n in (1, 3) else 0
                for n in range(30)
                for s in "xyz"
            },
            "b",
        ),
    }
    both = config(weights={"a": 3.0, "b": 1.0})
    pairs, report = cut_pairs(prompts(30), candidates(names), scores, both)
    order = sorted(pairs.to_pylist(), key=lambda row: (row["margin"], row["pair_id"]))
    assert report["worst"]["least_margin"] == [row["pair_id"] for row in order[:20]]
    of = dict(zip(pairs["prompt_id"].to_pylist(), pairs["pair_id"].to_pylist(), strict=True))
    assert set(report["worst"]["most_conflict"]) == {of["p1"], of["p3"]}
    assert math.isclose(report["margins"]["min"], order[0]["margin"])
