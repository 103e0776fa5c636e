"""Splits: nothing that is held out is trained on, by facts or by prompts."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invdpo.curate.pairing import cut_pairs
from invdpo.curate.pairing.splits import (
    PromptSplit,
    groups_of_texts,
    split_by_fact,
    split_by_graph,
    split_by_prompt,
    stated_facts,
)
from invdpo.curate.prompts.base import Draft, prompt_row
from invdpo.curate.shapes import scenes, world
from tests.curate.pairing.pairing_tables import config, random_tables, shuffled, with_columns

RULES = {"graph": split_by_graph, "fact": split_by_fact}
Facts = set[tuple[str, str, str]]


def graph(*phrases: str, relation: str = "", backwards: bool = False) -> str:
    """A graph in JSON of these things; the first may stand in a relation to the second."""
    items = [
        {"item_id": n, "label": text.split()[-1], "attributes": text.split()[:-1]}
        for n, text in enumerate(phrases)
    ]
    ends = (1, 0) if backwards else (0, 1)
    stated = {"item1": ends[0], "relation": relation, "item2": ends[1]}
    return json.dumps({"items": items, "relations": [stated] if relation else []})


def test_a_fact_is_the_same_either_way_round() -> None:
    left_of = stated_facts(graph("red cat", "dog", relation="left of"))
    assert left_of == {("red cat", "left of", "dog")}
    assert stated_facts(graph("red cat", "dog", relation="right of", backwards=True)) == left_of
    assert stated_facts(graph("cat", "dog", relation="left of")) != left_of
    behind = stated_facts(graph("cat", "dog", relation="behind"))
    assert stated_facts(graph("cat", "dog", relation="in front of", backwards=True)) == behind
    near = stated_facts(graph("cat", "dog", relation="near"))
    assert stated_facts(graph("cat", "dog", relation="near", backwards=True)) == near
    assert stated_facts(graph("cat", "dog", relation="chasing")) == {("cat", "chasing", "dog")}
    assert stated_facts(graph("cat", "dog")) == set()
    assert stated_facts(None) == set()
    broken = {"items": [{"item_id": 0}], "relations": [{"item1": 0, "relation": "on"}]}
    assert stated_facts(json.dumps(broken)) == set()
    dangling = {"items": [], "relations": [{"item1": 0, "relation": "on", "item2": 1}]}
    assert stated_facts(json.dumps(dangling)) == set()


def test_the_order_of_attributes_does_not_matter() -> None:
    facts = stated_facts(graph("big red cat", "dog", relation="on"))
    assert facts == stated_facts(graph("red big cat", "dog", relation="on"))
    assert facts == {("big red cat", "on", "dog")}


fact = st.tuples(st.integers(0, 30), st.sampled_from(["on", "in"]), st.integers(0, 30))
prompt = st.tuples(st.integers(0, 40), st.frozensets(fact, max_size=2))


def shared(split: PromptSplit, stated: list[Facts]) -> Facts:
    """Facts that stand in both splits."""
    sides: list[Facts] = [set(), set()]
    for held_out, left_out, facts_of_prompt in zip(
        split.held_out, split.straddling, stated, strict=True
    ):
        if not left_out:
            sides[int(held_out)] |= facts_of_prompt
    return sides[0] & sides[1]


@given(
    rows=st.lists(prompt, min_size=1, max_size=60),
    rule=st.sampled_from(sorted(RULES)),
    fraction=st.sampled_from([0.0, 0.1, 0.4]),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_no_fact_and_no_group_lies_in_both(
    rows: list[tuple[int, frozenset[tuple[int, str, int]]]], rule: str, fraction: float, seed: int
) -> None:
    groups = [f"g{n}" for n, _ in rows]
    stated: list[Facts] = [
        {(f"o{a}", r, f"o{b}") for a, r, b in of_prompt} for _, of_prompt in rows
    ]
    split = RULES[rule](groups, stated, fraction, seed)
    assert shared(split, stated) == set()
    sides = {
        (g, h)
        for g, h, left_out in zip(groups, split.held_out, split.straddling, strict=True)
        if not left_out
    }
    assert len(sides) == len({g for g, _ in sides})
    if rule == "graph":
        assert not split.straddling.any()
        assert split.held_out.sum() <= round(fraction * len(rows))
    order = np.random.default_rng(seed).permutation(len(rows))
    split_again = RULES[rule](
        [groups[n] for n in order], [stated[n] for n in order], fraction, seed
    )
    assert split_again.held_out.tolist() == split.held_out[order].tolist()
    assert split_again.straddling.tolist() == split.straddling[order].tolist()


def test_clusters_go_whole_and_the_fraction_is_kept() -> None:
    """Chains of three prompts each share facts with their neighbours alone."""
    stated = [{(f"o{n}", "on", "x"), (f"o{n + (n % 3 < 2)}", "on", "x")} for n in range(300)]
    groups = [f"g{n}" for n in range(300)]
    held_out = [split_by_graph(groups, stated, 0.1, seed).held_out for seed in range(3)]
    for split in held_out:
        assert split.sum() == 30
        assert set(split.reshape(100, 3).sum(axis=1).tolist()) == {0, 3}
    assert (held_out[0] != held_out[1]).any()


def test_by_fact_keeps_the_fraction_where_all_hangs_together() -> None:
    """One long chain is one cluster, of which by graph nothing can be held out."""
    stated = [{(f"o{n}", "on", "x"), (f"o{n + 1}", "on", "x")} for n in range(2_000)]
    groups = [f"g{n}" for n in range(2_000)]
    assert split_by_graph(groups, stated, 0.1, 0).held_out.sum() == 0
    assert split_by_graph(groups, stated, 0.1, 0).largest() == 1
    split = split_by_fact(groups, stated, 0.1, 0)
    assert 0.09 < split.held_out.sum() / (~split.straddling).sum() < 0.11
    assert shared(split, stated) == set()


def test_by_prompt_is_the_earlier_rule() -> None:
    """The groups that were held out when a hash of group and seed was all there was."""
    groups = [f"g{n // 2}" for n in range(60)]
    held_out = split_by_prompt(groups, 0.2, 0).held_out
    assert [n // 2 for n in np.flatnonzero(held_out)[::2].tolist()] == EARLIER


EARLIER = [2, 3, 11, 15, 18]


@pytest.mark.parametrize("rule", ["graph", "fact", "prompt"])
def test_no_fact_of_validation_occurs_in_train(rule: str) -> None:
    """Of the embedded world's prompts, as the whole cut leaves them."""
    rng = np.random.default_rng(0)
    graphs = [scenes.sample_graph(rng, "train") for _ in range(300)]
    rows = [prompt_row(Draft(world.caption(g), g), "shapes") for g in graphs]
    prompt_table, candidate_table, scores = random_tables(300, each=2, scorers="a")
    prompt_table = with_columns(
        prompt_table, graph=[r["graph"] for r in rows], split_group=[r["split_group"] for r in rows]
    )
    options = config(split_by=rule, validation_fraction=0.2)
    pairs, report = cut_pairs(prompt_table, candidate_table, scores, options)
    facts: dict[str, Facts] = {"train": set(), "validation": set()}
    for row in pairs.to_pylist():
        number = int(row["prompt_id"][1:])
        facts[row["split"]] |= stated_facts(rows[number]["graph"])
    assert facts["train"]
    assert facts["validation"]
    if rule != "prompt":
        assert not facts["train"] & facts["validation"]
    split = report["split"]
    assert (split["by"], split["asked"]) == (rule, 0.2)
    assert abs(split["prompts_held_out"] - 0.2) < (0.05 if rule == "prompt" else 0.01)
    assert len(pairs) == 300 - split["prompts_left_out"]
    pairs_again, _ = cut_pairs(shuffled(prompt_table), shuffled(candidate_table), scores, options)
    assert dict(
        zip(pairs_again["pair_id"].to_pylist(), pairs_again["split"].to_pylist(), strict=True)
    ) == dict(zip(pairs["pair_id"].to_pylist(), pairs["split"].to_pylist(), strict=True))


def test_thresholds_do_not_move_a_pair_to_the_other_split() -> None:
    tables = random_tables(200, each=3)
    loose, _ = cut_pairs(*tables, config())
    strict, _ = cut_pairs(*tables, config(min_margin=2.2, target_pairs=50))
    where = dict(zip(loose["pair_id"].to_pylist(), loose["split"].to_pylist(), strict=True))
    assert {where[r["pair_id"]] == r["split"] for r in strict.to_pylist()} == {True}


def test_a_text_with_several_graphs_is_in_one_split() -> None:
    """Captions repeat, each time with the graph of another image."""
    texts = [f"Caf\u00e9 number {n}" for n in range(30)]
    again = [f"cafe\u0301  NUMBER {n}" for n in range(30)]  # other blanks, case, Unicode form
    groups = [f"group {n}" for n in range(60)]
    facts = [{("cat", "on", f"mat {n}")} for n in range(60)]
    merged = groups_of_texts(groups, texts + again)
    assert merged == [min(groups[n % 30], groups[n % 30 + 30]) for n in range(60)]
    assert groups_of_texts(groups, [None] * 60) == groups
    assert groups_of_texts(groups, [f"{n}" for n in range(60)]) == groups
    for split in (
        split_by_prompt(merged, 0.4, 0),
        split_by_graph(merged, facts, 0.4, 0),
        split_by_fact(merged, facts, 0.4, 0),
    ):
        held_out, train = (
            {n % 30 for n in range(60) if rows[n]}
            for rows in (split.held_out, ~split.held_out & ~split.straddling)
        )
        assert held_out
        assert train
        assert not held_out & train


def test_groups_are_joined_through_others() -> None:
    assert groups_of_texts(["c", "b", "b", "a"], ["x", "X", "y", "Y"]) == ["a"] * 4
    assert groups_of_texts(["b", "a"], ["a cat", "a \u200bcat"]) == ["a"] * 2
