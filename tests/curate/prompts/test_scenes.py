"""Sampled scenes: distinct, repeatable, balanced, read back by the rules, and leaking nothing."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise
from pathlib import Path

import pytest
import yaml

from invdpo.curate.prompts import PROMPT_SOURCES, Draft
from invdpo.curate.scene_graphs.grammar import parse
from invdpo.curate.scene_graphs.vocabulary import OURS, read_vocabulary
from invdpo.schemas import DataError, SceneGraph
from invdpo.schemas.config.prompts import PromptsConfig
from invdpo.schemas.graph import one_way

SPLITS = ("train", "validation", "heldout")


def drafts(split: str, count: int, **more: object) -> list[Draft]:
    config = PromptsConfig.model_validate({"source": "scenes", "split": split, **more})
    return list(islice(PROMPT_SOURCES["scenes"](config)(), count))


def graphs(drawn: list[Draft]) -> list[SceneGraph]:
    return [draft.graph for draft in drawn if draft.graph is not None]


def combinations(graph: SceneGraph) -> set[tuple[str, ...]]:
    """What may not stand in two splits."""
    made: set[tuple[str, ...]] = {(a, item.label) for item in graph.items for a in item.attributes}
    numbers = Counter(item.label for item in graph.items)
    made |= {(str(n), label) for label, n in numbers.items() if n > 1}
    labels = {item.item_id: item.label for item in graph.items}
    for r in graph.relations:
        subject, relation, target = one_way((labels[r.item1], r.relation, labels[r.item2]))
        made.add((relation, *sorted((subject, target))))
    return made


def test_distinct_and_repeatable() -> None:
    sampled = drafts("train", 300)
    assert len({draft.prompt for draft in sampled}) == 300
    assert sampled == drafts("train", 300)
    assert sampled != drafts("train", 300, seed=1)


@pytest.mark.parametrize("split", SPLITS)
def test_the_rules_read_back_what_was_written(split: str) -> None:
    for draft in drafts(split, 400):
        read = parse(str(draft.prompt))
        assert read is not None, draft.prompt
        assert draft.graph is not None
        assert [i.phrase for i in read.items] == [i.phrase for i in draft.graph.items]
        assert read.relations == draft.graph.relations, draft.prompt


def test_splits_share_no_combination() -> None:
    held = [
        set().union(*(combinations(graph) for graph in graphs(drafts(split, 400))))
        for split in SPLITS
    ]
    for first, second in [*pairwise(held), (held[0], held[2])]:
        assert not first & second


def about_equal(counts: Counter[str], among: int, within: float) -> bool:
    """Whether so many different keys were counted about equally often."""
    return len(counts) == among and max(counts.values()) <= within * min(counts.values())


def kinds_of_attributes(scenes: list[SceneGraph]) -> Counter[str]:
    """Of things; those of people and animals are of whatever kind suits them."""
    words = read_vocabulary().sampling
    kinds = {w: kind for kind, group in words.attributes.items() for w in group}
    things = [i for g in scenes for i in g.items if i.label not in words.animate]
    return Counter(kinds[item.attributes[0]] for item in things)


def test_object_counts_and_kinds_of_relation_take_turns() -> None:
    """Of 720 scenes 180 have each number of objects, and 240 each kind of relation, or none."""
    sampled = graphs(drafts("train", 720))
    assert Counter(len(graph.items) for graph in sampled) == {1: 180, 2: 180, 3: 180, 4: 180}
    words = read_vocabulary().sampling
    kinds = Counter(
        "none"
        if not g.relations
        else "activity"
        if g.relations[0].relation in words.activities
        else "spatial"
        for g in sampled
    )
    assert kinds == {"none": 240, "activity": 240, "spatial": 240}


@pytest.mark.parametrize("split", SPLITS)
def test_predicates_and_attribute_kinds_are_balanced_in_every_split(split: str) -> None:
    sampled = graphs(drafts(split, 720))
    words = read_vocabulary().sampling
    names = Counter(r.relation for graph in sampled for r in graph.relations)
    spatial = Counter({name: n for name, n in names.items() if name in words.spatial})
    assert about_equal(spatial, len(words.spatial), 1.05)
    assert about_equal(names - spatial, len(words.activities), 1.05)
    assert about_equal(kinds_of_attributes(sampled), len(words.attributes), 1.15)
    several = [len(g.items) for g in sampled if len({item.label for item in g.items}) == 1]
    assert {*several} - {1} == {*words.counts}


def test_a_vocabulary_of_ones_own(tmp_path: Path) -> None:
    words = yaml.safe_load(OURS.read_text(encoding="utf-8"))
    words["sampling"]["things"] = ["igloo", "yurt", "tent", "hut", "shed", "barn"]
    (tmp_path / "words.yaml").write_text(yaml.safe_dump(words))
    sampled = drafts("train", 20, vocabulary=str(tmp_path / "words.yaml"))
    labels = {item.label for graph in graphs(sampled) for item in graph.items}
    assert labels & {"igloo", "yurt", "tent"}
    assert "car" not in labels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w["sampling"].pop("things"), r"sampling\.things: Field required"),
        (lambda w: w["sampling"].update(counts=[1]), r"sampling\.counts\.0"),
        (lambda w: w["sampling"].update(spatial=["inside"]), r"'inside' has no phrase"),
        (lambda w: w.update(colour=["red"]), "colour: Extra inputs"),
    ],
)
def test_a_vocabulary_that_cant_be_used(tmp_path: Path, change: object, message: str) -> None:
    words = yaml.safe_load(OURS.read_text(encoding="utf-8"))
    assert callable(change)
    change(words)
    (tmp_path / "words.yaml").write_text(yaml.safe_dump(words))
    with pytest.raises(DataError, match=message):
        drafts("train", 1, vocabulary=str(tmp_path / "words.yaml"))


def test_split_seed_and_words_decide_the_prompts(tmp_path: Path) -> None:
    def known(**options: object) -> dict[str, object]:
        config = PromptsConfig.model_validate({"source": "scenes", "num_prompts": 5} | options)
        return PROMPT_SOURCES["scenes"](config).fingerprint()

    first = known()
    assert first == known()
    assert (first["num_prompts"], first["split"]) == (5, "train")
    assert known(seed=7)["seed"] == 7
    assert known(split="heldout")["split"] == "heldout"
    assert known(seed=7)["words"] == first["words"]
    given = yaml.safe_load(OURS.read_text(encoding="utf-8"))
    given["synonyms"] = []
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
    assert known(vocabulary=str(tmp_path / "a.yaml"))["words"] == first["words"]
    given["sampling"]["counts"] = [2]
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
    assert known(vocabulary=str(tmp_path / "b.yaml"))["words"] != first["words"]
