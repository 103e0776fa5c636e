"""Splits: nothing that is held out is trained on, by facts or by prompts."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invdpo.curate.pairing import cut_pairs
from invdpo.curate.pairing.splits import Split, by_fact, by_graph, by_prompt, combinations
from invdpo.curate.prompts.base import Draft, prompt_row
from invdpo.curate.shapes import scenes, world
from tests.curate.pairing.pairing_tables import config, having, many, shuffled

RULES = {"graph": by_graph, "fact": by_fact}
Facts = set[tuple[str, str, str]]


def graph(*phrases: str, relation: str = "", turned: bool = False) -> dict[str, object]:
    """Some things, the first of which may stand in a relation to the second."""
    items = [
        {"item_id": n, "label": text.split()[-1], "attributes": text.split()[:-1]}
        for n, text in enumerate(phrases)
    ]
    ends = (1, 0) if turned else (0, 1)
    stated = {"item1": ends[0], "relation": relation, "item2": ends[1]}
    return {"items": items, "relations": [stated] if relation else []}


def test_a_combination_is_a_fact_either_way_round() -> None:
    one = combinations(graph("red cat", "dog", relation="left of"))
    assert one == {("red cat", "left of", "dog")}
    assert combinations(graph("red cat", "dog", relation="right of", turned=True)) == one
    assert combinations(graph("cat", "dog", relation="left of")) != one
    behind = combinations(graph("cat", "dog", relation="behind"))
    assert combinations(graph("cat", "dog", relation="in front of", turned=True)) == behind
    near = combinations(graph("cat", "dog", relation="near"))
    assert combinations(graph("cat", "dog", relation="near", turned=True)) == near
    assert combinations(graph("cat", "dog", relation="chasing")) == {("cat", "chasing", "dog")}
    assert combinations(graph("cat", "dog")) == set()
    assert combinations(None) == set()
    broken = {"items": [{"item_id": 0}], "relations": [{"item1": 0, "relation": "on"}]}
    assert combinations(broken) == set()


fact = st.tuples(st.integers(0, 30), st.sampled_from(["on", "in"]), st.integers(0, 30))
prompt = st.tuples(st.integers(0, 40), st.frozensets(fact, max_size=2))


def shared(split: Split, stated: list[Facts]) -> Facts:
    """Facts that stand in both splits."""
    sides: list[Facts] = [set(), set()]
    for held, out, some in zip(split.held, split.straddling, stated, strict=True):
        if not out:
            sides[int(held)] |= some
    return sides[0] & sides[1]


@given(
    rows=st.lists(prompt, min_size=1, max_size=60),
    rule=st.sampled_from(sorted(RULES)),
    fraction=st.sampled_from([0.0, 0.1, 0.4]),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_no_combination_and_no_group_lies_in_both(
    rows: list[tuple[int, frozenset[tuple[int, str, int]]]], rule: str, fraction: float, seed: int
) -> None:
    groups = [f"g{n}" for n, _ in rows]
    stated: list[Facts] = [{(f"o{a}", r, f"o{b}") for a, r, b in some} for _, some in rows]
    split = RULES[rule](groups, stated, fraction, seed)
    assert shared(split, stated) == set()
    sides = {
        (g, h) for g, h, out in zip(groups, split.held, split.straddling, strict=True) if not out
    }
    assert len(sides) == len({g for g, _ in sides})
    if rule == "graph":
        assert not split.straddling.any()
        assert split.held.sum() <= round(fraction * len(rows))
    order = np.random.default_rng(seed).permutation(len(rows))
    again = RULES[rule]([groups[n] for n in order], [stated[n] for n in order], fraction, seed)
    assert again.held.tolist() == split.held[order].tolist()
    assert again.straddling.tolist() == split.straddling[order].tolist()


def test_clusters_go_whole_and_the_fraction_is_kept() -> None:
    """Chains of three prompts each share facts with their neighbours alone."""
    stated = [{(f"o{n}", "on", "x"), (f"o{n + (n % 3 < 2)}", "on", "x")} for n in range(300)]
    groups = [f"g{n}" for n in range(300)]
    held = [by_graph(groups, stated, 0.1, seed).held for seed in range(3)]
    for split in held:
        assert split.sum() == 30
        assert set(split.reshape(100, 3).sum(axis=1).tolist()) == {0, 3}
    assert (held[0] != held[1]).any()


def test_by_fact_keeps_the_fraction_where_all_hangs_together() -> None:
    """One long chain is one cluster, of which by graph nothing can be held out."""
    stated = [{(f"o{n}", "on", "x"), (f"o{n + 1}", "on", "x")} for n in range(2_000)]
    groups = [f"g{n}" for n in range(2_000)]
    assert by_graph(groups, stated, 0.1, 0).held.sum() == 0
    assert by_graph(groups, stated, 0.1, 0).largest() == 1
    split = by_fact(groups, stated, 0.1, 0)
    assert 0.09 < split.held.sum() / (~split.straddling).sum() < 0.11
    assert shared(split, stated) == set()


def test_by_prompt_is_the_earlier_rule() -> None:
    """The groups that were held out when a hash of group and seed was all there was."""
    groups = [f"g{n // 2}" for n in range(60)]
    held = by_prompt(groups, 0.2, 0).held
    assert [n // 2 for n in np.flatnonzero(held)[::2].tolist()] == EARLIER


EARLIER = [2, 3, 11, 15, 18]


@pytest.mark.parametrize("rule", ["graph", "fact", "prompt"])
def test_no_combination_of_validation_occurs_in_train(rule: str) -> None:
    """Of the embedded world's prompts, as the whole cut leaves them."""
    rng = np.random.default_rng(0)
    graphs = [scenes.sample_graph(rng, "train") for _ in range(300)]
    rows = [prompt_row(Draft(world.caption(g), g), "shapes") for g in graphs]
    asked, rows_, scores = many(300, each=2, scorers="a")
    asked = having(
        asked, graph=[r["graph"] for r in rows], split_group=[r["split_group"] for r in rows]
    )
    options = config(split_by=rule, validation_fraction=0.2)
    pairs, report = cut_pairs(asked, rows_, scores, options)
    facts: dict[str, Facts] = {"train": set(), "validation": set()}
    for row in pairs.to_pylist():
        number = int(row["prompt_id"][1:])
        facts[row["split"]] |= combinations(json.loads(rows[number]["graph"]))
    assert facts["train"]
    assert facts["validation"]
    if rule != "prompt":
        assert not facts["train"] & facts["validation"]
    split = report["split"]
    assert (split["by"], split["asked"]) == (rule, 0.2)
    assert abs(split["prompts_held_out"] - 0.2) < (0.05 if rule == "prompt" else 0.01)
    assert len(pairs) == 300 - split["prompts_left_out"]
    again, _ = cut_pairs(shuffled(asked), shuffled(rows_), scores, options)
    assert dict(zip(again["pair_id"].to_pylist(), again["split"].to_pylist(), strict=True)) == dict(
        zip(pairs["pair_id"].to_pylist(), pairs["split"].to_pylist(), strict=True)
    )


def test_thresholds_do_not_move_a_pair_to_the_other_split() -> None:
    tables = many(200, each=3)
    loose, _ = cut_pairs(*tables, config())
    strict, _ = cut_pairs(*tables, config(min_margin=2.2, target_pairs=50))
    where = dict(zip(loose["pair_id"].to_pylist(), loose["split"].to_pylist(), strict=True))
    assert {where[r["pair_id"]] == r["split"] for r in strict.to_pylist()} == {True}
