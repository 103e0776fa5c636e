"""Policies: who meets whom, in closed form and as properties of any table."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invdpo.curate.pairing import cut_pairs
from invdpo.schemas import ConfigError, DataError
from tests.curate.pairing.pairing_tables import (
    candidates,
    config,
    prompts,
    random_tables,
    scored,
    shuffled,
    with_columns,
)

FOUR = {"w": "p0", "x": "p0", "y": "p0", "z": "p0"}
POLICIES = ("best-worst", "best-random", "all", "hard", "same-seed")


def ends(pairs: pa.Table) -> set[str]:
    return {
        c + r
        for c, r in zip(
            *(pairs[f"{s}_id"].to_pylist() for s in ("chosen", "rejected")), strict=True
        )
    }


def cut(values: Mapping[str, float], **options: Any) -> set[str]:
    tables = prompts(1), candidates(FOUR), {"a": scored(values)}
    return ends(cut_pairs(*tables, config(**options))[0])


def test_all_pairs_over_a_margin() -> None:
    """Of 0, 1, 2, 3 (sd sqrt 5/2) a margin of 1.5 takes two steps; equals never meet."""
    values = {"w": 0, "x": 1, "y": 2, "z": 3}
    assert cut(values, policy="all") == {"xw", "yw", "zw", "yx", "zx", "zy"}
    assert cut(values, policy="all", min_margin=1.5) == {"yw", "zw", "zx"}
    assert cut({"w": 0, "x": 0, "y": 2, "z": 2}, policy="all") == {"yw", "yx", "zw", "zx"}


def test_the_best_against_a_random_worse_one() -> None:
    values = {"w": 0, "x": 1, "y": 2, "z": 3}
    found = {next(iter(cut(values, policy="best-random", seed=n))) for n in range(40)}
    assert found == {"zw", "zx", "zy"}
    far = {next(iter(cut(values, policy="best-random", min_margin=1.5, seed=n))) for n in range(40)}
    assert far == {"zw", "zx"}
    assert cut(values, policy="best-random", min_margin=2.9) == set()


def test_hard_pairs_are_near_in_quality_and_apart_in_composition() -> None:
    """Quality of 0, 0, 1, 9: w, x and y are near; composition tells w from x and y alone."""
    scores = {
        "composition": scored({"w": 1.0, "x": 0.5, "y": 0.8, "z": 0.2}, "composition"),
        "q": scored({"w": 0, "x": 0, "y": 1, "z": 9}, "q"),
    }
    weights = {"composition": 3.0, "q": 1.0}
    hard = config(policy="hard", weights=weights, hard_apart=0.25, hard_near=0.5)
    pairs, report = cut_pairs(prompts(1), candidates(FOUR), scores, hard)
    assert ends(pairs) == {"wx", "yx"}
    steps = {step["name"]: step["before"] - step["after"] for step in report["filters"]}
    assert steps["less than 0.25 apart by composition"] == 1  # w and y
    assert steps["more than 0.5 apart by the other scorers"] == 3  # those with z


@pytest.mark.parametrize("weights", [{"composition": 1.0}, {"a": 1.0, "b": 1.0}])
def test_hard_pairs_need_two_kinds_of_scorers(weights: dict[str, float]) -> None:
    tables = random_tables(2, scorers="ab")
    scores = tables[2] | {"composition": tables[2]["a"]}
    with pytest.raises(ConfigError, match=r"pair\.hard_by: hard pairs need 'composition'"):
        cut_pairs(*tables[:2], scores, config(policy="hard", weights=weights))


def test_same_seed_pairs_come_of_two_models() -> None:
    with_seeds = with_columns(
        candidates(FOUR), seed=[7, 7, 8, 8], model=list("mnmm"), revision=list("1111")
    )
    scores = {"a": scored({"w": 0, "x": 1, "y": 2, "z": 3})}
    pairs, _ = cut_pairs(prompts(1), with_seeds, scores, config(policy="same-seed"))
    assert ends(pairs) == {"xw"}
    revised = with_columns(with_seeds, revision=list("1112"))
    pairs, _ = cut_pairs(prompts(1), revised, scores, config(policy="same-seed"))
    assert ends(pairs) == {"xw", "zy"}
    unknown = with_columns(with_seeds, seed=[None] * 4)
    assert len(cut_pairs(prompts(1), unknown, scores, config(policy="same-seed"))[0]) == 0
    without = with_seeds.drop_columns("seed")
    with pytest.raises(DataError, match="seed, model and revision"):
        cut_pairs(prompts(1), without, scores, config(policy="same-seed"))
    _, report = cut_pairs(
        prompts(1), with_columns(with_seeds, seed=[1, 2, 3, 4]), scores, config(policy="same-seed")
    )
    assert set(report["prompts_without_pair"].values()) == {
        "no two candidates that the policy lets meet"
    }


def test_ranks_do_not_see_how_far() -> None:
    """By a alone z leads by far; ranks make y, third and first, as good as z, first and last."""
    scores = {
        "a": scored({"w": 0, "x": 1, "y": 2, "z": 100}),
        "b": scored({"w": 1, "x": 2, "y": 3, "z": 0}, "b"),
    }
    tables, weights = (prompts(1), candidates(FOUR), scores), {"a": 2.0, "b": 1.0}
    far, _ = cut_pairs(*tables, config(weights=weights))
    assert far["chosen_id"].to_pylist() == ["z"]
    near, _ = cut_pairs(*tables, config(weights=weights, normalisation="rank"))
    assert ends(near) == {"yw"}
    # Ranks of y: 2/3 and 1; of w: 0 and 1/3; weights 2/3 and 1/3.
    assert near["margin"][0].as_py() == pytest.approx((4 / 9 + 1 / 3) - 1 / 9)


@given(
    data=st.data(),
    policy=st.sampled_from(POLICIES),
    normalisation=st.sampled_from(["prompt", "global", "rank"]),
    min_margin=st.sampled_from([0.0, 0.4, 0.9]),
)
@settings(max_examples=60, deadline=None)
def test_properties_of_every_policy(
    data: st.DataObject, policy: str, normalisation: str, min_margin: float
) -> None:
    """Both of one prompt, margins kept, and the same pairs whatever the order of the tables."""
    size = data.draw(st.integers(1, 5))
    names = {f"c{n}": f"p{data.draw(st.integers(0, 2))}" for n in range(3 * size)}
    whole = st.integers(-3, 3)
    scores = {s: scored({n: float(data.draw(whole)) for n in names}, s) for s in "ab"}
    candidate_rows = with_columns(
        candidates(names),
        seed=[n % 3 for n in range(len(names))],
        model=["mn"[n % 2] for n in range(len(names))],
        revision=["1"] * len(names),
    )
    prompt_rows = prompts(3)
    options = config(
        policy=policy,
        normalisation=normalisation,
        min_margin=min_margin,
        weights={"a": 1.0, "b": 0.5},
        hard_by="a",
        hard_apart=1,
    )
    pairs, report = cut_pairs(prompt_rows, candidate_rows, scores, options)
    seed = dict(zip(names, candidate_rows["seed"].to_pylist(), strict=True))
    for row in pairs.to_pylist():
        assert names[row["chosen_id"]] == names[row["rejected_id"]] == row["prompt_id"]
        assert row["margin"] >= min_margin
        assert row["margin"] > 0
        if policy == "same-seed":
            assert seed[row["chosen_id"]] == seed[row["rejected_id"]]
    shuffled_scores = {name: shuffled(table, 2) for name, table in scores.items()}
    pairs_again, report_again = cut_pairs(
        shuffled(prompt_rows, 3), shuffled(candidate_rows, 4), shuffled_scores, options
    )
    if normalisation != "global":  # whose sums may round otherwise
        assert sorted(pairs_again["pair_id"].to_pylist()) == sorted(pairs["pair_id"].to_pylist())
    assert report_again["prompts"] == report["prompts"]


def test_all_pairs_hold_those_of_other_policies() -> None:
    tables = random_tables(40, each=6)
    every = ends(cut_pairs(*tables, config(policy="all"))[0])
    assert len(every) == 40 * 15
    for policy in ("best-worst", "best-random"):
        assert ends(cut_pairs(*tables, config(policy=policy))[0]) < every


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = random_tables(9, each=5)
    whole = cut_pairs(*tables, config(policy="all", min_margin=0.7))
    monkeypatch.setattr("invdpo.curate.pairing.policies.BLOCK", 7)
    parts = cut_pairs(*tables, config(policy="all", min_margin=0.7))
    assert parts[0].equals(whole[0])
    assert parts[1] == whole[1]


def test_margins_of_all_pairs_in_closed_form() -> None:
    tables = random_tables(5, each=4, scorers="a")
    pairs, _ = cut_pairs(*tables, config(policy="all"))
    raw = {r["candidate_id"]: r["score"] for r in tables[2]["a"].to_pylist()}
    expected = {}
    for p in range(5):
        of_prompt = [f"c{p}-{k}" for k in range(4)]
        sd = np.std([raw[n] for n in of_prompt])
        for first, second in combinations(of_prompt, 2):
            better, worse = sorted((first, second), key=lambda n: -raw[n])
            expected[better + worse] = (raw[better] - raw[worse]) / sd
    found = {r["chosen_id"] + r["rejected_id"]: r["margin"] for r in pairs.to_pylist()}
    assert found == pytest.approx(expected)
