"""Cutting pairs: closed-form margins, every reason for a drop, and indifference to order."""

import json
import math
import re

import numpy as np
import pyarrow as pa
import pytest

from invdpo.curate.pairing import cut_pairs, require_target
from invdpo.curate.pairing.ranking import standardise
from invdpo.schemas import ConfigError, DataError
from invdpo.schemas.tables import SCORES, pairs_schema
from tests.curate.pairing.pairing_tables import (
    NO_IMAGE,
    candidates,
    config,
    prompts,
    random_tables,
    scored,
)


def test_standardise() -> None:
    """Of 1, 3: mean 2, sd 1. Of 5, 5: zeros. Of 0, 0, 3: mean 1, sd sqrt 2."""
    values, prompt = np.array([1, 3, 5, 5, 0, 0, 3.0]), np.array([0, 0, 1, 1, 2, 2, 2])
    root = math.sqrt(2)
    expected = [-1, 1, 0, 0, -1 / root, -1 / root, 2 / root]
    assert standardise(values, prompt, 4) == pytest.approx(expected)


def test_standardise_takes_rounding_for_equality() -> None:
    values = np.array([0.3, 0.3 + 1e-8, 1e9, 1e9 + 1])
    assert not standardise(values, np.array([0, 0, 1, 1]), 2).any()


def test_best_against_worst_and_margin() -> None:
    """z of 0, 0, 3 spans 3/sqrt 2; with weights 3 and -1 normalised to .75 and -.25."""
    names = {"x": "p0", "y": "p0", "z": "p0"}
    scores = {"a": scored({"x": 0, "y": 0, "z": 3}), "b": scored({"x": 1, "y": 2, "z": 2}, "b")}
    pairs, report = cut_pairs(prompts(1), candidates(names), scores, config())
    (row,) = pairs.to_pylist()
    assert (row["chosen_id"], row["rejected_id"]) == ("z", "x")
    assert row["margin"] == pytest.approx(3 / math.sqrt(2))
    assert (row["delta_a"], row["delta_b"]) == (3.0, 1.0)
    assert pairs.schema == pairs_schema(["a", "b"])
    weights = {"a": 3.0, "b": -1.0}
    pairs, report = cut_pairs(prompts(1), candidates(names), scores, config(weights=weights))
    (row,) = pairs.to_pylist()
    # a: (-1, -1, 2)/sqrt 2; b: (-2, 1, 1)/sqrt 2. Combined times sqrt 2: (-.25, -1, 1.25).
    assert (row["chosen_id"], row["rejected_id"]) == ("z", "y")
    assert row["margin"] == pytest.approx(2.25 / math.sqrt(2))
    assert report["pairs"]["in_conflict"] == 0
    assert report["scorers"]["b"]["ties"] == 1


def test_lower_is_better_turns_the_choice() -> None:
    names, scores = {"x": "p0", "y": "p0"}, {"a": scored({"x": 0, "y": 1})}
    pairs, report = cut_pairs(
        prompts(1), candidates(names), scores, config(), lower_is_better={"a"}
    )
    assert pairs["chosen_id"].to_pylist() == ["x"]
    assert report["scorers"]["a"]["agreement"] == 1.0


def test_conflicts_and_agreement() -> None:
    names = {"x": "p0", "y": "p0", "u": "p1", "v": "p1"}
    scores = {
        "a": scored({"x": 0, "y": 1, "u": 0, "v": 1}),
        "b": scored({"x": 1, "y": 0, "u": 0, "v": 1}, "b"),
    }
    weights = {"a": 1.0, "b": 0.5}
    _, report = cut_pairs(prompts(2), candidates(names), scores, config(weights=weights))
    assert report["pairs"]["in_conflict"] == 1
    assert report["scorers"]["b"]["agreement"] == 0.5
    assert report["margins"]["min"] == pytest.approx(2 / 3)
    assert report["margins"]["max"] == pytest.approx(2)


EVERY_REASON = """
a0 p0 0      a1 p0 1                       a pair
b0 p1 1                                    one candidate
c0 p2 2      c1 p2 2                       all equal
d0 p3 nan    d1 p3 1                       not finite, so one is left
e0 p4 none   e1 p4 -                       rejected and missing: none left
f0 p5 100    f1 p5 100.5   f2 p5 101       best and worst look and score the same
g0 p9 1                                    unknown prompt
h0 p7 1      h1 p7 1       h2 p7 1         small margin, by the second scorer alone
"""
"""Candidate, prompt and score, up to three in a line; p6 has no candidate."""


def test_every_reason_is_counted() -> None:
    cells = [c.split() for c in re.findall(r"\w\d p\d \S+", EVERY_REASON)]
    names = {name: prompt for name, prompt, _ in cells}
    first = {n: None if v == "none" else float(v) for n, _, v in cells if v != "-"}
    second = {n: 1.0 if n in ("h1", "h2") else 0.0 for n in names}
    table = candidates(names, f0="same", f2="same")
    scores = {"a": scored(first), "b": scored(second, "b")}
    weights = {"a": 4.0, "b": 1.0}
    pairs, report = cut_pairs(prompts(8), table, scores, config(weights=weights, min_margin=1))
    assert pairs["prompt_id"].to_pylist() == ["p0"]
    dropped = report["candidates"].pop("dropped")
    assert report["candidates"] == {"total": 16, "usable": 12}
    reasons = ("its prompt is not in the prompts table", "no a score", "rejected by a")
    assert dropped == dict.fromkeys((*reasons, "a score not finite"), 1)
    assert report["prompts_without_pair"] == {
        "p1": "one usable candidate",
        "p2": "all candidates score the same",
        "p3": "one usable candidate",
        "p4": "no usable candidate",
        "p5": "best and worst look and score the same",
        "p6": "no candidate",
        "p7": "margin below min_margin",
    }
    assert sum(report["prompts"]["dropped"].values()) == 7
    json.dumps(report, allow_nan=False)


def test_rejected_candidates_and_infinite_scores_are_never_ranked() -> None:
    table = candidates({"x": "p0", "y": "p0", "z": "p0"}).to_pylist()
    table[2]["status"] = "rejected"
    scores = {"a": scored({"x": math.inf, "y": 0, "z": 9})}
    candidate_rows = pa.Table.from_pylist(table, schema=NO_IMAGE)
    pairs, report = cut_pairs(prompts(1), candidate_rows, scores, config())
    assert len(pairs) == 0
    assert report["candidates"]["dropped"] == {"candidate rejected": 1, "a score not finite": 1}
    assert report["margins"] == {}
    json.dumps(report, allow_nan=False)


def test_why_candidates_were_rejected_is_counted() -> None:
    """The three commonest reasons by themselves, the rest together."""
    whys = ["refused"] * 4 + ["one colour"] * 3 + ["a"] * 2 + ["b", None]
    table = candidates({f"x{n}": "p0" for n in range(13)}).to_pylist()
    for row, why in zip(table, whys, strict=False):
        row |= {"status": "rejected", "error": why}
    scores = {"a": scored({f"x{n}": float(n) for n in range(13)})}
    rows = pa.Table.from_pylist(table, schema=NO_IMAGE)
    _, report = cut_pairs(prompts(1), rows, scores, config())
    assert report["candidates"] == {
        "total": 13,
        "usable": 2,
        "dropped": {
            "candidate rejected: refused": 4,
            "candidate rejected: one colour": 3,
            "candidate rejected: a": 2,
            "candidate rejected": 2,
        },
    }


def test_a_scorer_that_is_not_ranked_drops_nobody() -> None:
    names = {"x": "p0", "y": "p0"}
    scores = {"a": scored({"x": 0, "y": 1}), "b": scored({"x": 1}, "b")}
    pairs, report = cut_pairs(prompts(1), candidates(names), scores, config())
    assert pairs["delta_b"].to_pylist() == [None]
    assert report["scorers"]["b"]["pairs"] == 0


def test_order_and_cut_of_the_tables_do_not_matter() -> None:
    prompt_rows, candidate_rows, scores = random_tables(50)
    expected, report = cut_pairs(prompt_rows, candidate_rows, scores, config(min_margin=1))
    rng = np.random.default_rng(1)
    mixed = candidate_rows.take(pa.array(rng.permutation(len(candidate_rows))))
    chunked = pa.concat_tables([mixed.slice(0, 77), mixed.slice(77)])
    shuffled_scores = {
        name: t.take(pa.array(rng.permutation(len(t)))) for name, t in scores.items()
    }
    pairs_again, report_again = cut_pairs(
        prompt_rows, chunked, shuffled_scores, config(min_margin=1)
    )
    assert pairs_again.to_pylist() == expected.to_pylist()
    assert report_again == report


def test_target_is_exact_nested_and_deterministic() -> None:
    prompt_rows, candidate_rows, scores = random_tables(60)
    all_pairs, _ = cut_pairs(prompt_rows, candidate_rows, scores, config())
    few, report = cut_pairs(prompt_rows, candidate_rows, scores, config(target_pairs=10))
    more, _ = cut_pairs(prompt_rows, candidate_rows, scores, config(target_pairs=25))
    assert (len(few), len(more)) == (10, 25)
    assert set(few["pair_id"].to_pylist()) < set(more["pair_id"].to_pylist())
    assert report["prompts"]["dropped"] == {"more pairs than target_pairs": len(all_pairs) - 10}
    require_target(report)


def test_shortfall_says_how_many_and_what_costs_most() -> None:
    prompt_rows, candidate_rows, scores = random_tables(60)
    strict = config(min_margin=2.6, target_pairs=55)
    pairs, report = cut_pairs(prompt_rows, candidate_rows, scores, strict)
    text = report["shortfall"]
    assert f"55 pairs were requested, {len(pairs)} were found." in text
    assert f"margin below min_margin: {60 - len(pairs)}" in text
    enough = float(text.split("A min_margin of ")[1].split()[0])
    loose = config(min_margin=enough, target_pairs=55)
    assert len(cut_pairs(prompt_rows, candidate_rows, scores, loose)[0]) == 55
    with pytest.raises(DataError, match="55 pairs were requested"):
        require_target(report)
    _, report = cut_pairs(
        prompt_rows, candidate_rows, scores, config(min_margin=2.6, target_pairs=61)
    )
    assert report["shortfall"].endswith("there would be 60: add prompts.")


def test_splits_depend_on_the_group_alone() -> None:
    prompt_rows, candidate_rows, scores = random_tables(200)
    grouped = prompt_rows.set_column(
        prompt_rows.schema.get_field_index("split_group"),
        "split_group",
        pa.array([f"g{n // 4}" for n in range(200)]),
    )
    pairs, report = cut_pairs(grouped, candidate_rows, scores, config(validation_fraction=0.2))
    group = [int(p[1:]) // 4 for p in pairs["prompt_id"].to_pylist()]
    splits_of_group: dict[int, set[str]] = {}
    for number, split in zip(group, pairs["split"].to_pylist(), strict=True):
        splits_of_group.setdefault(number, set()).add(split)
    assert all(len(split) == 1 for split in splits_of_group.values())
    assert 15 <= report["pairs"]["validation"] <= 70
    none, _ = cut_pairs(grouped, candidate_rows, scores, config(validation_fraction=0))
    assert set(none["split"].to_pylist()) == {"train"}


def test_wrong_weights_are_all_told() -> None:
    prompt_rows, candidate_rows, scores = random_tables(2)
    with pytest.raises(ConfigError) as caught:
        cut_pairs(prompt_rows, candidate_rows, scores, config(weights={"c": 1, "b": 2, "d": 1}))
    text = str(caught.value)
    assert "pair.weights.c" in text
    assert "pair.weights.d" in text
    assert "pair.weights.b" not in text
    assert "there are: a, b" in text
    with pytest.raises(ConfigError, match="all are 0"):
        cut_pairs(prompt_rows, candidate_rows, scores, config(weights={"a": 0}))


def test_doubled_ids_are_refused() -> None:
    prompt_rows, candidate_rows, scores = random_tables(2)
    with pytest.raises(DataError, match="rows with the candidate_id of another"):
        cut_pairs(prompt_rows, pa.concat_tables([candidate_rows, candidate_rows]), scores, config())
    with pytest.raises(DataError, match="rows with the candidate_id of another"):
        cut_pairs(prompt_rows, candidate_rows, {"a": pa.concat_tables([scores["a"]] * 2)}, config())


def test_no_candidates_at_all() -> None:
    empty = {"a": SCORES.empty_table()}
    pairs, report = cut_pairs(prompts(3), NO_IMAGE.empty_table(), empty, config())
    assert len(pairs) == 0
    assert report["prompts"]["dropped"] == {"no candidate": 3}


def test_objects_are_counted() -> None:
    prompt_rows, candidate_rows, scores = random_tables(3)
    _, report = cut_pairs(prompt_rows, candidate_rows, scores, config())
    assert report["objects"] == {"1": {"prompts": 3, "pairs": 3}}
    _, report = cut_pairs(prompts(3, graph=None), candidate_rows, scores, config())
    assert report["objects"] == {"unknown": {"prompts": 3, "pairs": 3}}


def test_look_alikes_that_score_apart_are_a_pair() -> None:
    """The hash sees no colour: a red and a blue circle at one place are a good pair."""
    table = candidates({"x": "p0", "y": "p0"}, x="same", y="same")
    pairs, _ = cut_pairs(prompts(1), table, {"a": scored({"x": 0.5, "y": 1})}, config())
    assert pairs["chosen_id"].to_pylist() == ["y"]
