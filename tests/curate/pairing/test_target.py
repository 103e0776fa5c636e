"""Exact sizes and shares, and what is told when they can't be had."""

import json

import pyarrow as pa
import pytest

from invdpo.curate.pairing import cut_pairs, require_target
from invdpo.schemas import ConfigError, DataError
from tests.curate.pairing.pairing_tables import config, random_tables, shuffled, with_columns

RandomTables = tuple[pa.Table, pa.Table, dict[str, pa.Table]]


def mixed(count: int, each: int = 4) -> RandomTables:
    """Prompts of one, two and three objects, every other one with a spatial relation."""
    prompt_table, rows, scores = random_tables(count, each=each)
    graphs = []
    for n in range(count):
        items = [{"item_id": k, "label": f"thing{n}-{k}"} for k in range(1 + n % 3)]
        relations = [{"item1": 0, "relation": "left of", "item2": 0}] if n % 2 else []
        graphs.append(json.dumps({"items": items, "relations": relations}))
    return with_columns(prompt_table, graph=graphs), rows, scores


def test_pictures_asked_for_are_different() -> None:
    tables = mixed(30)
    pairs, report = cut_pairs(*tables, config(policy="all", target_images=112))
    assert len(pairs) == 56
    assert report["images"] == {"total": 112, "distinct": 112}
    assert report["shortfall"] is None
    shuffled_scores = {name: shuffled(table) for name, table in tables[2].items()}
    pairs_again, _ = cut_pairs(
        shuffled(tables[0]),
        shuffled(tables[1]),
        shuffled_scores,
        config(policy="all", target_images=112),
    )
    assert set(pairs_again["pair_id"].to_pylist()) == set(pairs["pair_id"].to_pylist())


def test_more_pictures_than_candidates_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"122 different images .* there are 120 candidates"):
        cut_pairs(*mixed(30), config(target_images=122))


def test_shares_of_one_kind_are_exact() -> None:
    shares = {"objects.2": 0.25, "objects.3": 0.5}
    pairs, report = cut_pairs(*mixed(60), config(shares=shares, target_pairs=32))
    assert len(pairs) == 32
    assert report["strata"]["objects"] == {
        "1": {"prompts": 20, "pairs": 8, "wanted": None},
        "2": {"prompts": 20, "pairs": 8, "wanted": 0.25},
        "3": {"prompts": 20, "pairs": 16, "wanted": 0.5},
    }
    every = cut_pairs(*mixed(60), config(shares=shares))[1]["strata"]["objects"]
    assert [every[n]["pairs"] for n in "123"] == [10, 10, 20]


def test_shares_of_two_kinds_are_exact() -> None:
    shares = {"objects.1": 0.5, "relation.spatial": 0.25}
    pairs, report = cut_pairs(*mixed(60), config(shares=shares, target_pairs=20))
    assert len(pairs) == 20
    assert report["strata"]["objects"]["1"]["pairs"] == 10
    assert report["strata"]["relation"]["spatial"]["pairs"] == 5
    pairs_again, _ = cut_pairs(*mixed(60), config(shares=shares, target_pairs=20))
    assert pairs_again.equals(pairs)


def test_strata_that_cannot_be_filled_are_named() -> None:
    pair_config = config(shares={"objects.3": 0.75}, target_pairs=40)
    pairs, report = cut_pairs(*mixed(60), pair_config)
    assert len(pairs) == 60
    with pytest.raises(DataError, match=r"objects\.3 30 wanted, 20 there") as caught:
        require_target(report)
    assert "In these shares there could be 27 pairs" in str(caught.value)
    assert report["costs"]["shares"] == 60 - 27
    pairs, report = cut_pairs(*mixed(60), config(shares={"objects.5+": 0.5}))
    assert "objects.5+ 30 wanted, 0 there" in report["shortfall"]


def test_each_threshold_is_turned_off_in_turn() -> None:
    """What each costs is what the cut without it has more."""
    strict = {"min_margin": 1.5, "consensus": 2, "floors": {"b": 0.0}, "max_loss": 0.5}
    both = {"weights": {"a": 1.0, "b": 1.0}}
    pair_config = config(target_pairs=60, **both, **strict)
    pairs, report = cut_pairs(*mixed(60), pair_config)
    expected = {}
    for name, off in {"min_margin": 0.0, "consensus": None, "max_loss": None}.items():
        loose = cut_pairs(*mixed(60), config(**both, **(strict | {name: off})))[0]
        expected[name] = len(loose) - len(pairs)
    expected["floors.b"] = len(cut_pairs(*mixed(60), config(**both, **strict | {"floors": {}}))[0])
    expected["floors.b"] -= len(pairs)
    assert report["costs"] == expected
    assert max(expected.values()) > 0
    worst = next(iter(report["costs"]))
    assert f"Pairs lost to each threshold: {worst} {expected[worst]}" in report["shortfall"]
    json.dumps(report, allow_nan=False)


def test_a_larger_set_holds_a_smaller_one_in_each_stratum() -> None:
    shares = {"objects.2": 0.5}
    few = cut_pairs(*mixed(60), config(shares=shares, target_pairs=10))[0]
    more = cut_pairs(*mixed(60), config(shares=shares, target_pairs=30))[0]
    assert set(few["pair_id"].to_pylist()) < set(more["pair_id"].to_pylist())


def test_the_threshold_that_would_do_is_named() -> None:
    tables = mixed(60)
    _, report = cut_pairs(*tables, config(target_pairs=60, floors={"b": 1.5}, min_margin=0.1))
    assert report["shortfall"].endswith("loosen floors.b, or add prompts.")
    assert len(cut_pairs(*tables, config(target_pairs=60, min_margin=0.1))[0]) == 60
