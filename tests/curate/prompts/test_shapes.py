"""Prompts of the embedded world."""

from itertools import islice

import pytest

from invdpo.curate.prompts import collect, split_group
from invdpo.curate.prompts.base import Draft
from invdpo.curate.prompts.shapes import ShapesSource
from invdpo.curate.shapes import world
from invdpo.schemas import ConfigError, Item, Relation, SceneGraph
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.tables import Record


def rows(count: int, **changes: object) -> list[Record]:
    config = PromptsConfig.model_validate({"num_prompts": count, **changes})
    return collect(ShapesSource(config)(), "shapes", count)[0]


def test_prompts_of_few_objects_are_left_out() -> None:
    """Those without a graph, too; what was read to find the others is counted."""
    draft = Draft("something else", None)
    source = [draft, *islice(ShapesSource(PromptsConfig())(), 40)]
    assert {len(SceneGraph.from_json(row["graph"]).items) for row in rows(40)} == {1, 2, 3}
    taken, _, read, small = collect(source, "shapes", 5, min_objects=3)
    assert small == read - 5
    assert [len(SceneGraph.from_json(row["graph"]).items) for row in taken] == [3] * 5
    kept = [row for row in collect(source, "shapes", read)[0] if row in taken]
    assert kept == taken
    assert len(collect(source, "shapes", 41, min_objects=0)[0]) == 41
    later = collect(source, "shapes", 5, skip=read, min_objects=3)[0]
    assert later
    assert not any(row in taken for row in later)


def test_distinct_repeatable_and_parsed() -> None:
    first = rows(300)
    assert rows(300) == first
    assert len({row["prompt"] for row in first}) == len({row["prompt_id"] for row in first}) == 300
    assert rows(100) == first[:100]
    assert rows(100, seed=1) != first[:100]
    for row in first:
        seen, meant = world.parse(row["prompt"]), SceneGraph.from_json(row["graph"])
        assert seen is not None
        assert split_group("", seen) == split_group("", meant) == row["split_group"]


def test_splits_share_no_composition() -> None:
    groups = {
        split: {row["split_group"] for row in rows(300, split=split)}
        for split in ("train", "validation", "heldout")
    }
    assert not groups["train"] & groups["heldout"]
    assert not groups["train"] & groups["validation"]


def test_one_composition_one_group_however_it_is_worded() -> None:
    prompts = [
        "a red circle to the left of a blue square",
        "a blue square to the right of a red circle",
    ]
    groups = {split_group(prompt, world.parse(prompt)) for prompt in prompts}
    assert len(groups) == 1
    second = "a blue square to the left of a red circle"
    assert split_group(second, world.parse(second)) not in groups
    assert split_group("A  Cat", None) == split_group("a cat", None) != split_group("a dog", None)


def test_foreign_relations_keep_their_direction() -> None:
    items = (Item(item_id=0, label="man"), Item(item_id=1, label="horse"))
    first = SceneGraph(items=items, relations=(Relation(item1=0, relation="rides", item2=1),))
    second = SceneGraph(items=items, relations=(Relation(item1=1, relation="rides", item2=0),))
    assert split_group("", first) != split_group("", second)


def test_path_without_use_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"prompts\.path"):
        ShapesSource(PromptsConfig(path="x.txt"))


def test_skipped_prompts_are_passed_over_with_all_that_say_the_same() -> None:
    first = Draft("a red circle", None)
    drafts = [first, Draft("A red  circle", None), Draft("a blue square", None), Draft("x", None)]
    rows, doubled, read, _ = collect(drafts, "file", 2, skip=1)
    assert [row["prompt"] for row in rows] == ["a blue square", "x"]
    assert (doubled, read) == (0, 3)


def test_a_shuffle_is_decided_by_its_seed_and_skips_go_by_its_order() -> None:
    drafts = [Draft(f"prompt {n}", None) for n in range(12)]
    whole = [row["prompt"] for row in collect(drafts, "file", 12, shuffle_seed=1)[0]]
    assert sorted(whole) == sorted(draft.prompt or "" for draft in drafts)
    assert whole != [draft.prompt for draft in drafts]
    again = collect(reversed(drafts), "file", 4, skip=3, shuffle_seed=1)[0]
    assert [row["prompt"] for row in again] == whole[3:7]
