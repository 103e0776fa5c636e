"""Sampled scenes: distinct, repeatable, balanced, read back by the rules, and leaking nothing."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise
from pathlib import Path

import pytest
import yaml

from invdpo.curate.prompts import PROMPT_SOURCES, Draft
from invdpo.curate.prompts.grammar import parse
from invdpo.curate.prompts.vocabulary import OURS, read_vocabulary
from invdpo.schemas import DataError, SceneGraph
from invdpo.schemas.config import PromptsConfig

SPLITS = ("train", "validation", "heldout")


def drafts(split: str, count: int, **more: object) -> list[Draft]:
    config = PromptsConfig.model_validate({"source": "scenes", "split": split, **more})
    return list(islice(PROMPT_SOURCES["scenes"](config)(), count))


def graphs(found: list[Draft]) -> list[SceneGraph]:
    return [draft.graph for draft in found if draft.graph is not None]


def combinations(graph: SceneGraph) -> set[tuple[str, ...]]:
    """What may not stand in two splits."""
    made: set[tuple[str, ...]] = {(a, item.label) for item in graph.items for a in item.attributes}
    labels = {item.item_id: item.label for item in graph.items}
    made |= {
        (r.relation, *sorted((labels[r.item1], labels[r.item2]))) for r in graph.relations
    }
    return made


def test_distinct_and_repeatable() -> None:
    found = drafts("train", 300)
    assert len({draft.prompt for draft in found}) == 300
    assert found == drafts("train", 300)
    assert found != drafts("train", 300, seed=1)


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
    for one, other in [*pairwise(held), (held[0], held[2])]:
        assert not one & other


def test_counts_of_objects_kinds_and_relations_are_balanced() -> None:
    found = graphs(drafts("train", 700))
    sizes = Counter(len(graph.items) for graph in found)
    assert min(sizes[n] for n in (1, 2, 3)) >= 80
    stated = Counter(len(graph.relations) for graph in found)
    assert min(stated[n] for n in (0, 1, 2)) >= 80
    kinds = {w: k for k, words in read_vocabulary().sampling.attributes.items() for w in words}
    told = Counter(kinds[g.items[-1].attributes[0]] for g in found)
    assert max(told.values()) < 1.5 * min(told.values())


def test_a_vocabulary_of_ones_own(tmp_path: Path) -> None:
    words = yaml.safe_load(OURS.read_text(encoding="utf-8"))
    words["sampling"]["things"] = ["igloo", "yurt", "tent", "hut", "shed", "barn"]
    (tmp_path / "words.yaml").write_text(yaml.safe_dump(words))
    found = drafts("train", 20, vocabulary=str(tmp_path / "words.yaml"))
    labels = {item.label for graph in graphs(found) for item in graph.items}
    assert labels & {"igloo", "yurt", "tent"}
    assert "car" not in labels


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w["sampling"].pop("things"), r"sampling\.things: Field required"),
        (lambda w: w["sampling"].update(counts=[1]), r"sampling\.counts\.0"),
        (lambda w: w["sampling"].update(spatial=["inside"]), r"'inside' has no phrase"),
        (lambda w: w.update(colour=["red"]), "colour: Extra inputs"),
    ],
)
def test_a_vocabulary_that_cant_be_used(tmp_path: Path, change: object, said: str) -> None:
    words = yaml.safe_load(OURS.read_text(encoding="utf-8"))
    assert callable(change)
    change(words)
    (tmp_path / "words.yaml").write_text(yaml.safe_dump(words))
    with pytest.raises(DataError, match=said):
        drafts("train", 1, vocabulary=str(tmp_path / "words.yaml"))
