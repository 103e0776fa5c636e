"""Thresholds: margins by scorer, consensus, losses, floors, near-duplicates, caps."""

from itertools import pairwise
from typing import Any

import pytest

from invdpo.curate.pairing import cut_pairs
from tests.curate.pairing.pairing_tables import (
    candidates,
    config,
    prompts,
    random_tables,
    scored,
    with_columns,
)

TWO = {"x": "p0", "y": "p0"}


def cut_candidates(values: dict[str, tuple[float, float]], **options: Any) -> Any:
    """The pairs of two or more candidates with two scores each, and the report."""
    names = dict.fromkeys(values, "p0")
    scores = {
        "a": scored({n: a for n, (a, _) in values.items()}),
        "b": scored({n: b for n, (_, b) in values.items()}, "b"),
    }
    options = {"weights": {"a": 2.0, "b": 1.0}} | options
    pairs, report = cut_pairs(prompts(1), candidates(names), scores, config(**options))
    return [(r["chosen_id"], r["rejected_id"]) for r in pairs.to_pylist()], report


def reason(report: Any) -> str:
    (text,) = report["prompts_without_pair"].values()
    return str(text)


def test_a_margin_by_one_scorer() -> None:
    """Two candidates are 2 standard deviations apart by every scorer that tells them apart."""
    values = {"x": (0.0, 0.0), "y": (1.0, 1.0)}
    assert cut_candidates(values, margins={"b": 2.0})[0] == [("y", "x")]
    pairs, report = cut_candidates(values, margins={"b": 2.1})
    assert (pairs, reason(report)) == ([], "b margin below 2.1")
    _, report = cut_candidates({"x": (0.0, 5.0), "y": (1.0, 5.0)}, margins={"b": 0.1})
    assert reason(report) == "b margin below 0.1"


def test_consensus_counts_scorers_that_lead() -> None:
    against = {"x": (0.0, 1.0), "y": (1.0, 0.0)}
    assert cut_candidates(against, consensus=1)[0] == [("y", "x")]
    pairs, report = cut_candidates(against, consensus=2)
    assert (pairs, reason(report)) == ([], "fewer than 2 scorers prefer the chosen")
    equal = {"x": (0.0, 1.0), "y": (1.0, 1.0)}
    assert cut_candidates(equal, consensus=2)[0] == []


def test_most_that_the_chosen_may_lose() -> None:
    """x is ahead by b, by 2 of its standard deviations."""
    against = {"x": (0.0, 1.0), "y": (1.0, 0.0)}
    assert cut_candidates(against, max_loss=2)[0] == [("y", "x")]
    pairs, report = cut_candidates(against, max_loss=1.9)
    assert (pairs, reason(report)) == ([], "a scorer prefers the rejected by more than 1.9")


def test_floors_choose_another_winner() -> None:
    values = {"x": (0.0, 5.0), "y": (1.0, 6.0), "z": (2.0, 4.0)}
    assert cut_candidates(values, weights={"a": 1.0})[0] == [("z", "x")]
    assert cut_candidates(values, weights={"a": 1.0}, floors={"b": 5})[0] == [("y", "x")]
    pairs, report = cut_candidates(values, floors={"b": 7})
    assert (pairs, reason(report)) == ([], "no candidate reaches the floors")
    _, report = cut_candidates(values, weights={"a": 1.0}, floors={"a": 1, "b": 6.5})
    assert reason(report) == "no candidate reaches the floors"


def test_floors_of_scorers_whose_lower_scores_are_better() -> None:
    names = {"x": "p0", "y": "p0", "z": "p0"}
    scores = {"a": scored({"x": 0, "y": 1, "z": 2})}
    pairs, _ = cut_pairs(
        prompts(1), candidates(names), scores, config(floors={"a": 1}), lower_is_better={"a"}
    )
    assert pairs["chosen_id"].to_pylist() == ["x"]
    pairs, _ = cut_pairs(
        prompts(1), candidates(names), scores, config(floors={"a": -1}), lower_is_better={"a"}
    )
    assert len(pairs) == 0


LOOKS = {"p": "00000000000000ff", "q": "00000000000000fe", "r": "ffffffff00000000"}


@pytest.mark.parametrize(
    ("duplicates", "expected"),
    [
        ("keep", [("y0", "x0"), ("y1", "x1")]),
        ("pair", [("y1", "x1")]),  # x0 and y0 differ in one bit
        ("prompt", [("y1", "x1")]),  # so y0 goes, and x0 is left alone
        ("all", []),  # x1 looks like x0
    ],
)
def test_near_duplicates(duplicates: str, expected: list[tuple[str, str]]) -> None:
    names = {"x0": "p0", "y0": "p0", "x1": "p1", "y1": "p1"}
    looks = dict(zip(names, (LOOKS[n] for n in "pqqr"), strict=True))
    scores = {"a": scored({"x0": 0, "y0": 1, "x1": 0, "y1": 1})}
    pairs, report = cut_pairs(
        prompts(2), candidates(names, **looks), scores, config(duplicates=duplicates)
    )
    assert [(r["chosen_id"], r["rejected_id"]) for r in pairs.to_pylist()] == expected
    gone = report["candidates"]["dropped"].get("near-duplicate of another candidate", 0)
    assert gone == {"keep": 0, "pair": 0, "prompt": 1, "all": 2}[duplicates]


def test_few_pairs_of_a_prompt_are_the_widest() -> None:
    tables = random_tables(10, each=5)
    uncapped = cut_pairs(*tables, config(policy="all"))[0].to_pylist()
    capped, report = cut_pairs(*tables, config(policy="all", max_per_prompt=3))
    for p in range(10):
        margins = sorted((r["margin"] for r in uncapped if r["prompt_id"] == f"p{p}"), reverse=True)
        assert [r["margin"] for r in capped.to_pylist() if r["prompt_id"] == f"p{p}"] == margins[:3]
    step = report["filters"][-1]
    assert step == {
        "name": "more pairs than max_per_prompt",
        "unit": "pairs",
        "before": 100,
        "after": 30,
    }
    assert report["prompts"]["paired"] == 10


def test_no_picture_twice() -> None:
    tables = random_tables(10, each=5)
    pairs, report = cut_pairs(*tables, config(policy="all", distinct=True))
    used = pairs["chosen_id"].to_pylist() + pairs["rejected_id"].to_pylist()
    assert len(set(used)) == len(used) == 40
    assert report["images"] == {"total": 40, "distinct": 40}
    best = cut_pairs(*tables, config())[0]
    assert set(best["pair_id"].to_pylist()) < set(pairs["pair_id"].to_pylist())


def test_filters_hang_together() -> None:
    """Each filter starts with what the one before left, and the last leaves what there is."""
    tables = random_tables(30, each=4, scorers="abc")
    rows = with_columns(tables[1], phash=["ff"] * 120)
    options = config(
        policy="all",
        weights={"a": 1, "b": 1},
        min_margin=0.5,
        margins={"a": 0.2},
        consensus=2,
        max_loss=0.1,
        floors={"c": -1},
        limits={"c": 1},
        max_per_prompt=2,
        target_pairs=20,
    )
    pairs, report = cut_pairs(tables[0], rows, tables[2], options)
    assert len(pairs) == 20
    last = {"candidates": report["candidates"]["usable"], "pairs": 20}
    for unit in ("candidates", "prompts", "pairs"):
        steps = [step for step in report["filters"] if step["unit"] == unit]
        for step, following in pairwise(steps):
            assert step["after"] == following["before"]
        assert all(step["before"] >= step["after"] >= 0 for step in steps)
        assert not steps or steps[-1]["after"] == last.get(unit, steps[-1]["after"])
